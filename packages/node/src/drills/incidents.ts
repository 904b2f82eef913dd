import type { Failure } from '@sealmesh/protocol/errors'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Documents } from '../documents/documents.ts'
import type { HomeHealth } from '../health/home-health.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { Withholdings } from '../trust/withholdings.ts'

export interface IncidentSources {
  readonly node: NodeId
  readonly log: Pick<LogKeeper, 'differsFrom'>
  readonly documents: Pick<Documents, 'names' | 'isComing'>
  readonly health: Pick<HomeHealth, 'facts'>
  readonly withholdings: Pick<Withholdings, 'all'>
  /** Why this node may not act for an agent that it holds. */
  readonly fence: (agent: AgentId) => Failure | null
}

/** Why nobody should rehearse with this agent now, in words for people; none: nothing is the matter. */
export function incidentsOf(from: IncidentSources, mesh: Mesh, agent: AgentId): string[] {
  const { node, log, documents, health, withholdings, fence } = from
  const known = mesh.agents.get(agent)
  const own = mesh.nodes.get(node)
  const { rolledBack, copied, lost } = health.facts
  const contested = known?.terms.filter(({ number }) => number === known.term?.number).length ?? 0
  const damaged = documents.names().filter((name) => name.agent === agent && documents.isComing(name))
  const fenced = known?.term?.holder === node ? fence(agent) : null
  const withheld = withholdings.all().filter(({ withheld: { document } }) => (document?.agent ?? agent) === agent)
  return [
    ...(own === undefined || own.revocations.length > 0 ? ['this node was removed from the mesh'] : []),
    ...(log.differsFrom() === null ? [] : ['the same records give another mesh elsewhere']),
    ...(rolledBack === null ? [] : ['this home was rolled back, and is learning again what it wrote']),
    ...(copied === null ? [] : ['another process uses the keys of this home']),
    ...(lost === null ? [] : ['something of this home was lost']),
    ...(fenced === null ? [] : [`the holder is fenced: ${fenced.message}`.replace(/\.$/, '')]),
    ...(contested > 1 ? ['two terms of one number overlap'] : []),
    ...damaged.map(({ layer }) => `${layer} is damaged or being fetched`),
    ...(withheld.length === 0 ? [] : ['something does not come through']),
  ]
}

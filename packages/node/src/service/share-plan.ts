import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import { agentByName, isSingleWriter, nodeByName, readersOf, writersOf } from '@sealmesh/protocol/membership/access'
import type { Grant, Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { GrantTo } from '@sealmesh/protocol/membership/record'
import { INBOX_LAYER } from '../agents/core/who.ts'

/** One assignment of `share set`: a layer by its own name, and `none`, `standby`, a node or an agent. */
export interface Change {
  readonly layer: string
  readonly to: string
}

export type Step =
  | { readonly type: 'grant'; readonly layer: string; readonly to: GrantTo; readonly access: 'read' | 'write' }
  | { readonly type: 'ungrant'; readonly grant: Grant }

/**
 * The records that changes come to, in their order; none for what is so already. Grants that replace others come
 * first, so that a reader who stays one misses nothing. Throws for names that nobody has.
 */
export function planShares(mesh: Mesh, agent: MeshAgent, changes: readonly Change[]): Step[] {
  const steps: Step[] = []
  for (const { layer, to } of changes) {
    const live = liveAfter(agent, steps).filter((each) => each.layer === layer)
    const wanted = to === 'none' ? undefined : parseTo(mesh, layer, to)
    const ended = wanted === undefined ? live : live.filter((each) => sameTo(each.to, wanted.to))
    if (wanted === undefined || wanted.access === 'none') {
      steps.push(...ended.flatMap(endingOf(steps)))
      continue
    }
    const { access } = wanted
    const other = ended.filter((each) => each.access !== access)
    if (other.length === ended.length) steps.push({ type: 'grant', layer, to: wanted.to, access })
    steps.push(...other.flatMap(endingOf(steps)))
  }
  return steps
}

/** The mesh as it would be: for rights, and for nothing else. */
export function meshAfter(mesh: Mesh, agent: MeshAgent, steps: readonly Step[]): Mesh {
  const grants = liveAfter(agent, steps).map(
    (each): Grant => ({ ...each, record: 'planned' as Grant['record'], ended: null, endings: [] }),
  )
  return { ...mesh, agents: new Map(mesh.agents).set(agent.id, { ...agent, grants }) }
}

export interface Moved {
  readonly node: NodeId
  /** Of a reader that may also write only this much changed: `write`. */
  readonly access: 'read' | 'write'
}

/** Who gains and who loses a layer between two states of the log. */
export function movedBetween(
  before: Mesh,
  after: Mesh,
  agent: MeshAgent,
  layer: string,
): { gains: Moved[]; loses: Moved[] } {
  const rights = (mesh: Mesh) => ({
    read: new Set(readersOf(mesh, agent.id, layer)),
    write: new Set(writersOf(mesh, agent.id, layer)),
  })
  const [was, is] = [rights(before), rights(after)]
  const missingIn = (one: typeof was, other: typeof was): Moved[] => [
    ...[...one.read].filter((node) => !other.read.has(node)).map((node) => ({ node, access: 'read' as const })),
    ...[...one.write].filter((node) => !other.write.has(node)).map((node) => ({ node, access: 'write' as const })),
  ]
  return { gains: missingIn(is, was), loses: missingIn(was, is) }
}

/**
 * Every node that a grant ever let write: of an agent's hosts also those that have left, since what they wrote within
 * their own cut must not fall with the grant.
 */
export function writersUnder(mesh: Mesh, agent: MeshAgent, { to, access }: Grant): NodeId[] {
  if (access !== 'write') return []
  if (to.type === 'node') return [to.node]
  const hosted = to.type === 'standby' ? agent : mesh.agents.get(to.agent)
  return [...new Set((hosted?.hostings ?? []).flatMap(({ nodes }) => nodes))]
}

/** The nodes that a grant to this names now. */
export function recipientsOf(mesh: Mesh, agent: MeshAgent, to: GrantTo): readonly NodeId[] {
  switch (to.type) {
    case 'node':
      return [to.node]
    case 'agent':
      return mesh.agents.get(to.agent)?.hosts ?? []
    case 'standby':
      return agent.hosts
  }
}

export function sameTo(a: GrantTo, b: GrantTo): boolean {
  if (a.type === 'node') return b.type === 'node' && a.node === b.node
  if (a.type === 'agent') return b.type === 'agent' && a.agent === b.agent
  return b.type === 'standby'
}

/** `standby`, a node's or an agent's name, each with `:write`, `:read` or `:none`. */
export function parseTo(mesh: Mesh, layer: string, text: string): { to: GrantTo; access: 'read' | 'write' | 'none' } {
  const [name = '', access = 'read', ...more] = text.split(':')
  if (more.length > 0 || (access !== 'read' && access !== 'write' && access !== 'none'))
    throw new Failure('USAGE', 'Say none, standby, a node or an agent, with :write where it may write too.')
  if (access === 'write' && isSingleWriter(layer))
    throw new Failure('USAGE', `Only the holder of the agent writes ${layer}: it can be shared to read.`)
  if (name === 'standby') return { to: { type: 'standby' }, access }
  const agent = agentByName(mesh, name)
  // Only agents write letters: a machine that is called like one is not meant.
  const node = layer === INBOX_LAYER && agent !== undefined ? undefined : nodeByName(mesh, name)
  if (node !== undefined) {
    if (node.revocations.length > 0 && access !== 'none')
      throw new Failure('NODE_UNKNOWN', `The node ${node.name} was removed from this mesh.`)
    return { to: { type: 'node', node: node.id }, access }
  }
  if (agent !== undefined) return { to: { type: 'agent', agent: agent.id }, access }
  throw new Failure('NODE_UNKNOWN', `No node or agent of this mesh is called "${name.slice(0, 64)}".`)
}

type Live = Pick<Grant, 'layer' | 'to' | 'access'> & { readonly grant?: Grant }

/** Grants that stand once the steps are taken. */
function liveAfter(agent: MeshAgent, steps: readonly Step[]): Live[] {
  const ended = new Set(steps.flatMap((step) => (step.type === 'ungrant' ? [step.grant.record] : [])))
  const given = steps.flatMap((step) => (step.type === 'grant' ? [step] : []))
  const standing = agent.grants.filter((grant) => grant.ended === null && !ended.has(grant.record))
  return [...standing.map((grant) => ({ ...grant, grant })), ...given]
}

/** A grant of the log is ended by a record; one that is only planned is planned no more. */
const endingOf =
  (steps: Step[]) =>
  (live: Live): Step[] => {
    if (live.grant !== undefined) return [{ type: 'ungrant', grant: live.grant }]
    const at = steps.findIndex((step) => step.type === 'grant' && step.layer === live.layer && sameTo(step.to, live.to))
    if (at !== -1) steps.splice(at, 1)
    return []
  }

import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { standbysOf } from '@sealmesh/protocol/failover/counted'
import { LEVELS, type Level } from '@sealmesh/protocol/failover/levels'
import { leftSince } from '@sealmesh/protocol/failover/set-history'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { Acknowledged, Acknowledgements } from '../failover/acknowledgements.ts'
import { iso, nodeName, type ServiceContext } from './context.ts'

type Durability = Status['agents'][number]['durability']

export interface DurabilityContext extends Pick<ServiceContext, 'documents' | 'log' | 'node' | 'sodium'> {
  readonly acknowledgements: Pick<Acknowledgements, 'look'>
}

/** How safe what this machine wrote for an agent is at this moment, and what `replicated` means for it now. */
export async function durabilityOf(context: DurabilityContext, agent: MeshAgent): Promise<Durability> {
  const { mesh } = context.log
  const left = leftSince(mesh, agent).map(({ node, atMs }) => ({ node: nodeName(mesh, node), at: iso(atMs) }))
  let worst: Acknowledged | undefined
  // Where nobody relies on it, it is not looked up.
  const names = agent.syncSet === null ? [] : context.documents.names()
  for (const name of names) {
    if (name.agent !== agent.id) continue
    const own = ownOf(context, await context.documents.vectorOf(name))
    if (own.length === 0) continue
    const now = context.acknowledgements.look(name, own)
    if (worst === undefined || rank(now.level) < rank(worst.level) || now.copies < worst.copies) worst = now
  }
  return {
    policy: agent.failover.durability,
    syncSet: agent.syncSet?.members.map((node) => nodeName(mesh, node)) ?? null,
    left,
    level: worst?.level ?? null,
    copies: worst?.copies ?? null,
    means: meansNow(mesh, agent, context.node),
  }
}

const rank = (level: Level): number => LEVELS.indexOf(level)

/** What this machine wrote of it: how safe the rest is its authors know. */
const ownOf = ({ node, sodium }: DurabilityContext, vector: VersionVector): VersionVector =>
  vector.filter(({ incarnation }) => isIncarnationOf(incarnation, node, sodium))

function meansNow(mesh: Mesh, agent: MeshAgent, me: ServiceContext['node']): string {
  const { durability, mode } = agent.failover
  const set = agent.syncSet?.members
  const standbys = standbysOf(mesh, agent).map(({ node }) => nodeName(mesh, node))
  if (standbys.length === 0)
    return durability === 'strict'
      ? 'nothing: the agent is strict, and no machine stands by'
      : 'on the disks of all that may read the layer: no machine stands by'
  if (set === undefined)
    return mode === 'manual' && durability === 'available'
      ? 'on the disks of all that may read the layer, until somebody waits for a level'
      : 'nothing yet: its holder has not said which machines are in step'
  const others = set.filter((node) => node !== agent.term?.holder).map((node) => nodeName(mesh, node))
  const here = agent.term?.holder === me ? 'this disk' : `that of ${nodeName(mesh, agent.term?.holder ?? me)}`
  if (others.length > 0) return `on ${here} and ${others.length === 1 ? 'that' : 'those'} of ${others.join(', ')}`
  return durability === 'strict'
    ? 'nothing: the agent is strict, and no standby is in step'
    : `${here} alone: no standby is in step, and the agent goes on without`
}

import type { DocumentName } from '../crdt/block.ts'
import type { NodeId, RecordHash } from '../ids.ts'
import { isSingleWriter, readersOf } from '../membership/access.ts'
import type { Mesh, MeshAgent } from '../membership/mesh.ts'

/** Why no waiting brings a level. */
export type Unreachable =
  /** No other node may read the document, or none that could stand by. */
  | 'not-shared'
  | 'no-standby-reads'
  /** A strict agent that nobody stands by. */
  | 'nobody'
  /** A layer with one writer, and this node is not it, or may not act now. */
  | 'not-the-holder'
  | 'fenced'
  | 'no-relay'

/** Whose word a write needs beside this node's own (docs/spec/13-acknowledgements.md §2). */
export type Counted =
  | { readonly type: 'nodes'; readonly nodes: readonly NodeId[] }
  /** An available agent whose standbys have all left its set: this disk alone. */
  | { readonly type: 'alone'; readonly left: readonly NodeId[] }
  /** Nobody knows yet. `unnamed`: no set of this term. `unlisted`: the register does not show it. `behind`: strict, and none in step. */
  | { readonly type: 'waits'; readonly why: 'unnamed' | 'unlisted' | 'behind'; readonly nodes: readonly NodeId[] }
  | { readonly type: 'unreachable'; readonly why: Unreachable }

export interface CountedView {
  readonly mesh: Mesh
  readonly me: NodeId
  /** The sync record that the register lists; without a lease the log's own. */
  readonly listed: RecordHash | null
  /** Nodes that are about to be named: what is acknowledged meanwhile has to be there as well. */
  readonly joining: readonly NodeId[]
  /** Somebody here has asked for a level of this agent, so its holder names a set. */
  readonly wanted: boolean
}

/** A host that a grant lets read something of the agent. */
export interface Standby {
  readonly node: NodeId
  readonly layers: readonly string[]
}

/** Hosts other than the holder that can hold a copy; a lapsed one is waited for by nobody. In standby order. */
export function standbysOf(mesh: Mesh, agent: MeshAgent): Standby[] {
  const layers = [...new Set(agent.grants.filter(({ ended }) => ended === null).map(({ layer }) => layer))]
  const readers = layers.map((layer) => ({ layer, nodes: new Set(readersOf(mesh, agent.id, layer)) }))
  return agent.hosts
    .filter((node) => node !== agent.term?.holder && mesh.nodes.get(node)?.lapsed === false)
    .map((node) => ({ node, layers: readers.filter(({ nodes }) => nodes.has(node)).map(({ layer }) => layer) }))
    .filter((standby) => standby.layers.length > 0)
}

/** Whether the agent's holder names sync sets for it: from when on somebody relies on them. */
export function keepsSet(agent: MeshAgent, standbys: readonly Standby[], wanted: boolean): boolean {
  if (agent.syncSet !== null) return true
  return standbys.length > 0 && (wanted || agent.failover.record !== null)
}

export function countedFor({ agent: id, layer }: DocumentName, view: CountedView): Counted {
  const { mesh, me } = view
  const agent = mesh.agents.get(id)
  const readers = readersOf(mesh, id, layer).filter((node) => node !== me)
  if (agent === undefined) return { type: 'unreachable', why: 'not-shared' }
  const isHolder = agent.term?.holder === me
  if (isSingleWriter(layer) && !isHolder) return { type: 'unreachable', why: 'not-the-holder' }
  const standbys = standbysOf(mesh, agent)
  const isStrict = agent.failover.durability === 'strict'
  if (isStrict && isHolder && standbys.length === 0) return { type: 'unreachable', why: 'nobody' }
  if (readers.length === 0) return { type: 'unreachable', why: 'not-shared' }
  if (agent.syncSet === null) {
    if (keepsSet(agent, standbys, view.wanted && isHolder))
      return { type: 'waits', why: 'unnamed', nodes: standbys.map(({ node }) => node).filter((node) => node !== me) }
    // Nobody takes over by a set: whoever reads it counts.
    return { type: 'nodes', nodes: readers }
  }
  const members = reliedOn(agent, view, isHolder)
  if (members === undefined) return { type: 'waits', why: 'unlisted', nodes: agent.syncSet.members }
  const nodes = readers.filter((node) => members.has(node))
  if (nodes.length > 0) return { type: 'nodes', nodes }
  const able = standbys.filter(({ layers }) => layers.includes(layer)).map(({ node }) => node)
  if (able.length === 0) return { type: 'unreachable', why: 'no-standby-reads' }
  return isStrict ? { type: 'waits', why: 'behind', nodes: able } : { type: 'alone', left: able }
}

/**
 * The newest set and, until the register lists it, the one that is listed as well: a standby is electable by either. A
 * node that is not the holder has the log's word alone; what it knows of it is as new as the holder's receipt.
 */
function reliedOn(
  { id, syncSet, failover }: MeshAgent,
  { mesh, listed, joining }: CountedView,
  isHolder: boolean,
): ReadonlySet<NodeId> | undefined {
  const newest = syncSet?.members ?? []
  if (!isHolder) return new Set(newest)
  if (failover.mode === 'manual' || listed === syncSet?.record) return new Set([...newest, ...joining])
  const body = listed === null ? undefined : mesh.records.get(listed)?.body
  if (body?.type !== 'sync' || body.agent !== id) return undefined
  return new Set([...newest, ...body.members, ...joining])
}

import type { AgentId, NodeId, RecordHash } from '../ids.ts'
import { PREKEY_SKEW_MS } from '../limits.ts'
import { listIn } from './ledger.ts'
import type { Grant, Mesh, MeshAgent, MeshNode, Prekey } from './mesh.ts'

/** Layers that one node at a time writes: the holder of the agent's term. Their blocks carry it. */
export const SINGLE_WRITER_LAYERS: ReadonlySet<string> = new Set(['session'])

export const isSingleWriter = (layer: string): boolean => SINGLE_WRITER_LAYERS.has(layer)

/**
 * Who may be sent this document: the agent's holder and whom a grant names (docs/spec/02-membership.md §11). A node
 * that only hosts the agent reads nothing until a grant says so. Sorted.
 */
export function readersOf(mesh: Mesh, agent: AgentId, layer: string): NodeId[] {
  const known = mesh.agents.get(agent)
  if (known === undefined) return []
  const readers = known.grants.filter((grant) => grant.layer === layer).flatMap((grant) => grantees(mesh, known, grant))
  return membersOf(mesh, [...readers, ...holderOf(known)])
}

/** By what a node reads this document now: grants by their records, and the term. What has ended never comes again. */
export function readingRights(mesh: Mesh, agent: AgentId, layer: string, node: NodeId): (RecordHash | 'term')[] {
  const known = mesh.agents.get(agent)
  if (known === undefined || mesh.nodes.get(node)?.revocations.length !== 0) return []
  const grants = known.grants.filter((grant) => grant.layer === layer && grantees(mesh, known, grant).includes(node))
  return [...grants.map(({ record }) => record), ...(holderOf(known).includes(node) ? (['term'] as const) : [])]
}

/** Who may write this document now. Sorted. */
export function writersOf(mesh: Mesh, agent: AgentId, layer: string): NodeId[] {
  const known = mesh.agents.get(agent)
  if (known === undefined) return []
  if (isSingleWriter(layer)) return membersOf(mesh, holderOf(known))
  const granted = known.grants
    .filter((grant) => grant.layer === layer && grant.access === 'write')
    .flatMap((grant) => grantees(mesh, known, grant))
  return membersOf(mesh, [...granted, ...known.hosts])
}

/**
 * Whose receipts a base waits for (docs/spec/09-bases.md §1): readers, and writers that may have been readers. One of
 * these may have drawn a base, and then has blocks that it cannot give away any more. Sorted.
 */
export function waitedForBy(mesh: Mesh, agent: AgentId, layer: string): NodeId[] {
  const known = mesh.agents.get(agent)
  if (known === undefined) return []
  const held = known.terms.map(({ holder }) => holder)
  const named = known.grants.filter((grant) => grant.layer === layer).flatMap((grant) => everNamed(mesh, known, grant))
  const read = new Set([...held, ...named])
  const writers = writersOf(mesh, agent, layer).filter((node) => read.has(node))
  return membersOf(mesh, [...readersOf(mesh, agent, layer), ...writers])
}

/** The prekey to seal to: the newest that is due. Undefined for a node that let all of its own expire, or is gone. */
export function livePrekey(node: MeshNode, nowMs: number): Prekey | undefined {
  if (node.revocations.length > 0) return undefined
  // The start may be an hour off between clocks; the end may not: the private half is destroyed after it.
  return node.prekeys.find((key) => key.notBeforeMs - PREKEY_SKEW_MS <= nowMs && nowMs < key.expiresMs)
}

/** Of agents that claim one name the one with the smallest id, on every node alike; `nameClashes` shows the others. */
export const agentByName = (mesh: Mesh, name: string): MeshAgent | undefined => firstNamed(mesh.agents.values(), name)

/** Members before removed nodes: a machine that was paired anew keeps its name. */
export function nodeByName(mesh: Mesh, name: string): MeshNode | undefined {
  return firstNamed(liveNodes(mesh), name) ?? firstNamed(mesh.nodes.values(), name)
}

export interface NameClash {
  readonly type: 'agent' | 'node'
  readonly name: string
  /** By id: the first is the one that the name means. */
  readonly ids: readonly string[]
}

/** Names that two agents, or two members, claim. */
export const nameClashes = (mesh: Mesh): NameClash[] => [
  ...clashesAmong('agent', mesh.agents.values()),
  ...clashesAmong('node', liveNodes(mesh)),
]

/** The holder, unless the host list has dropped it since. */
const holderOf = ({ term, hosts }: MeshAgent): NodeId[] =>
  term !== null && hosts.includes(term.holder) ? [term.holder] : []

function grantees(mesh: Mesh, agent: MeshAgent, grant: Grant): readonly NodeId[] {
  if (grant.ended !== null) return []
  switch (grant.to.type) {
    case 'node':
      return [grant.to.node]
    case 'agent':
      return mesh.agents.get(grant.to.agent)?.hosts ?? []
    case 'standby':
      return agent.hosts
  }
}

/** Whom a grant may ever have reached, ended or not. */
function everNamed(mesh: Mesh, agent: MeshAgent, { to }: Grant): readonly NodeId[] {
  if (to.type === 'node') return [to.node]
  const host = to.type === 'agent' ? mesh.agents.get(to.agent) : agent
  return host?.hostings.flatMap(({ nodes }) => nodes) ?? []
}

const membersOf = (mesh: Mesh, nodes: readonly NodeId[]): NodeId[] =>
  [...new Set(nodes)].filter((node) => mesh.nodes.get(node)?.revocations.length === 0).toSorted()

const liveNodes = (mesh: Mesh): MeshNode[] => [...mesh.nodes.values()].filter((node) => node.revocations.length === 0)

interface Named {
  readonly id: string
  readonly name: string
}

/** Asked for with every write. */
function firstNamed<T extends Named>(all: Iterable<T>, name: string): T | undefined {
  let first: T | undefined
  for (const each of all) if (each.name === name && (first === undefined || each.id < first.id)) first = each
  return first
}

function clashesAmong(type: NameClash['type'], all: Iterable<Named>): NameClash[] {
  const byName = new Map<string, string[]>()
  for (const { id, name } of all) listIn(byName, name).push(id)
  return [...byName].filter(([, ids]) => ids.length > 1).map(([name, ids]) => ({ type, name, ids: ids.toSorted() }))
}

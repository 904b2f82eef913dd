import type { AgentId, NodeId } from '../ids.ts'
import { readersOf, SINGLE_WRITER_LAYERS } from '../membership/access.ts'
import type { Mesh } from '../membership/mesh.ts'
import { type Prefix, prefixOf } from './prefix.ts'
import { setsOf } from './set-history.ts'

/** Why a node does not take an agent over by itself: what somebody was promised could be lost. */
export type Blocked =
  /** It is no member of the set that the holder's acknowledgements waited for, or knows only an older one. */
  | { readonly type: 'not-in-sync-set' }
  | { readonly type: 'mail-unread' }
  /** Nobody has promised anything yet, and the holder has not said what there is. */
  | { readonly type: 'unheard' }
  /** The holder has named blocks that are not here. */
  | { readonly type: 'behind'; readonly blocks: number }
  | { readonly type: 'rolled-back' }
  | { readonly type: 'not-granted'; readonly layers: readonly string[] }

/** What the node knows of itself at this moment. */
export interface Readiness {
  /** All that lay at the relay for it when the wait had run out is durable here. */
  readonly drained: boolean
  readonly rolledBack: boolean
  /** Blocks of the agent that the holder named and that are not here. */
  readonly behind: number
  /** Whether the holder has said in this run what it has. */
  readonly heard: boolean
}

/**
 * Rule 7: whether `node` may take the agent over without a person. Every acknowledged write of this term is with every
 * member of the set that the register names (`sync`), which the log may have moved on from. With no set named, here or there,
 * none was acknowledged in it: the first term then needs the holder's own word of what there is, and a later one leaves
 * it to a person.
 */
export function whatBlocks(
  mesh: Mesh,
  agentId: AgentId,
  sync: Prefix | null,
  node: NodeId,
  { drained, rolledBack, behind, heard }: Readiness,
): Blocked | null {
  const agent = mesh.agents.get(agentId)
  if (agent === undefined) return { type: 'not-granted', layers: [...SINGLE_WRITER_LAYERS] }
  if (rolledBack) return { type: 'rolled-back' }
  const layers = [...SINGLE_WRITER_LAYERS].filter((layer) => !readersOf(mesh, agentId, layer).includes(node))
  if (layers.length > 0) return { type: 'not-granted', layers }
  const { syncSet, term } = agent
  const isFirst = sync === null && syncSet === null && (term?.previous ?? null) === null
  const sets = sync === null || term === null ? [] : setsOf(mesh, agentId, term.record)
  const isMember = sets.some(({ record, members }) => prefixOf(record) === sync && members.includes(node))
  if (!isFirst && !isMember) return { type: 'not-in-sync-set' }
  if (isFirst && !heard) return { type: 'unheard' }
  if (!drained) return { type: 'mail-unread' }
  return behind > 0 ? { type: 'behind', blocks: behind } : null
}

/** A node that failed this often within this long is not trusted to hold an agent without a person's word. */
export const FAILURES_MAX = 2
export const FAILURES_WITHIN_MS = 3_600_000

export const isCoolingDown = (failuresAtMs: readonly number[], nowMs: number): boolean =>
  failuresAtMs.filter((atMs) => atMs <= nowMs && nowMs - atMs < FAILURES_WITHIN_MS).length >= FAILURES_MAX

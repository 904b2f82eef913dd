import type { MeshAgent } from '../membership/mesh.ts'
import type { Held, LeaseBlob, Taken } from './lease-blob.ts'
import { type Prefix, prefixOf } from './prefix.ts'

/** What the register of an agent's holder by the log says of the agent. */
export type Claim =
  /** Listed under that very term. */
  | { readonly type: 'held'; readonly sync: Prefix | null }
  /**
   * Taken out of it, under a record that this log does not have, or does not count: of the next term, or of the present
   * one. Who took it has told nobody, or not yet.
   */
  | { readonly type: 'taken'; readonly taken: Taken }
  | { readonly type: 'unlisted' }
  /** Listed under another term, or taken under one that this log is too old for. */
  | { readonly type: 'unknown' }

export function claimOf(blob: LeaseBlob, { id, term }: MeshAgent): Claim {
  if (term === null) return { type: 'unknown' }
  const agent = prefixOf(id)
  const held: Held | undefined = blob.held.find((each) => each.agent === agent)
  if (held !== undefined)
    return held.record === prefixOf(term.record) ? { type: 'held', sync: held.sync } : { type: 'unknown' }
  const taken = blob.taken.find((each) => each.agent === agent)
  if (taken === undefined || taken.term < term.number) return { type: 'unlisted' }
  if (taken.term > term.number + 1 || taken.record === prefixOf(term.record)) return { type: 'unknown' }
  return { type: 'taken', taken }
}

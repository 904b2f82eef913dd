import type { NodeId } from '../ids.ts'
import type { Block } from './block.ts'
import type { HybridTime } from './hybrid-time.ts'
import type { Entry } from './register.ts'
import type { TextAside } from './texts.ts'
import type { Verdict } from './verdict.ts'

/** What readers of a document see change. */
export type Change =
  | {
      readonly type: 'set'
      readonly key: string
      readonly value: string
      readonly author: NodeId
      readonly time: HybridTime
    }
  | {
      readonly type: 'delete'
      readonly key: string
      readonly value: undefined
      readonly author: NodeId
      readonly time: HybridTime
    }
  | { readonly type: 'text'; readonly name: string; readonly author: NodeId; readonly time: HybridTime }

/** A block that was received and counts for nothing. Kept, listed, and merged by choice only. */
export interface AsideBlock {
  readonly block: Block
  readonly reason: 'LATE' | Extract<Verdict, { type: 'void' }>['reason'] | TextAside
  /** The block's own term. */
  readonly term: number | null
}

export interface ReceiveOutcome {
  /**
   * - folded: its writes count.
   * - aside: listed by `aside()`.
   * - held: received, and counts later: when its time comes, its log heads are known, or what a text builds on is here.
   * - waiting: not received yet, since its predecessor is missing.
   * - refused: it can never be part of this document.
   */
  readonly type: 'folded' | 'aside' | 'held' | 'waiting' | 'duplicate' | 'refused'
  /** The document in memory is not what its blocks say: build it anew from all of them. */
  readonly rebuild: boolean
  readonly changes: Change[]
  /** Received in chain order by this call, this block and those that waited for it: what the caller persists. */
  readonly arrived: Block[]
}

export interface Counts {
  readonly received: number
  readonly folded: number
  readonly late: number
  /** Set aside for another reason than being late. */
  readonly aside: number
  /** received = folded + late + aside + held. */
  readonly held: number
  readonly registers: number
  readonly texts: number
  readonly conflicts: number
}

export function changeOf(key: string, { value, author, time }: Entry): Change {
  return value === undefined ? { type: 'delete', key, value, author, time } : { type: 'set', key, value, author, time }
}

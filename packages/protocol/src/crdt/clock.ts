import type { BlockHash, IncarnationId } from '../ids.ts'

/** Names one block: its incarnation, its place in it for this document (from 1), and its hash. */
export interface Dot {
  readonly incarnation: IncarnationId
  readonly sequence: number
  readonly hash: BlockHash
}

/**
 * A vector clock: each entry covers every block of its branch up to and including itself. One entry for an
 * incarnation, unless that incarnation has forked. Sorted by incarnation, then hash; never two on one branch.
 */
export type Clock = readonly Dot[]

/** The same shape, said of a whole document: what somebody has received. */
export type VersionVector = readonly Dot[]

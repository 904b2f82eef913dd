import type { Block } from './block.ts'
import type { VersionVector } from './clock.ts'

/**
 * What the membership log says of a block: a pure function of (block, log), never of when it arrived.
 * - fold: its writes count.
 * - late: of an old term, and not in the basis of a higher one. Kept, shown, folded by nobody, merged by choice.
 * - void: its author may not write here (no grant, beyond a cut, wrong holder). Kept while a cut may still change.
 * - unknown: the log heads that it names have not arrived. Judged again when they do.
 */
export type Verdict =
  | { readonly type: 'fold' }
  | { readonly type: 'late'; readonly term: number }
  | {
      readonly type: 'void'
      readonly reason: 'NOT_A_WRITER' | 'BEYOND_CUT' | 'LAPSED' | 'WRONG_TERM' | 'UNKNOWN_AUTHOR'
    }
  | { readonly type: 'unknown' }

/** Whether a vector covers a block, by sequence, or by ancestry on an incarnation that has forked. */
export type Covers = (vector: VersionVector, block: Block) => boolean

/**
 * Monotone along a branch: of blocks with one author, term and set of log heads it lets a beginning count and not the
 * rest. So documents judge a run of such blocks again by its two ends.
 */
export type Judge = (block: Block, covers: Covers) => Verdict

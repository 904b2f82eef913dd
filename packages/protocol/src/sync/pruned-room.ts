import type { Clock, VersionVector } from '../crdt/clock.ts'
import { type Dot, firstOf, isSameDot } from '../crdt/clock.ts'
import { PAYLOAD_BYTES_MAX, PRUNED_BYTES_MAX } from '../limits.ts'

/** What a *pruned* item has beside ends and rows, at most: the document, a floor, counts. */
const ITEM_BYTES = 256
/** An end without what was heard; an entry of that; what a row takes beside its bytes. */
const END_BYTES = 57
const HEARD_BYTES = 54
export const ROW_BYTES_EXTRA = 9

interface End {
  readonly dot: Dot
  readonly heard: Clock
}

/** Those of a base's ends that are written out where `named` stands for the others: with nothing to say besides. */
export const writtenEnds = <E extends End>(ends: readonly E[], named: VersionVector): E[] =>
  ends.filter(({ dot, heard }) => {
    const entry = named[firstOf(named, dot.incarnation)]
    return heard.length > 0 || entry?.incarnation !== dot.incarnation || !isSameDot(entry, dot)
  })

/** How many bytes a packet has left for rows beside these ends. Every item has all of them. */
export const roomBeside = (written: readonly Pick<End, 'heard'>[]): number =>
  PAYLOAD_BYTES_MAX - written.reduce((bytes, { heard }) => bytes + END_BYTES + HEARD_BYTES * heard.length, ITEM_BYTES)

/** The longest row that can be read back, and sent beside these ends. */
export const longestRowBeside = (written: readonly Pick<End, 'heard'>[]): number =>
  Math.min(PRUNED_BYTES_MAX, roomBeside(written) - ROW_BYTES_EXTRA)

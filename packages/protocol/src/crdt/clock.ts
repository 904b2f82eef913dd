import {
  bytesLeft,
  compareText,
  Malformed,
  type Reader,
  readId,
  readUint,
  type Writer,
  writeId,
  writeList,
  writeUint,
} from '../bytes.ts'
import type { BlockHash, IncarnationId } from '../ids.ts'
import { HASH_BYTES } from '../keys.ts'

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

/** Shared by all that cover nothing, which is most writes. */
export const EMPTY_CLOCK: Clock = Object.freeze([])

export const INCARNATION_BYTES = 16
/** Exact in a double with room to add; nobody writes a trillion blocks in one run. */
export const SEQUENCE_MAX = 2 ** 40
const DOT_BYTES_MIN = INCARNATION_BYTES + 1 + HASH_BYTES

/** Whether `a` is `b` or lies before it on its branch. Only asked of two dots of one incarnation. */
export type IsAncestor = (a: Dot, b: Dot) => boolean

/** True of every incarnation that has not forked. */
export const isAncestorBySequence: IsAncestor = (a, b) => a.sequence < b.sequence || isSameDot(a, b)

/** Both, since whoever makes up a clock can put any sequence beside any hash. */
export const isSameDot = (a: Dot, b: Dot): boolean => a.sequence === b.sequence && a.hash === b.hash

export const compareDots = (a: Dot, b: Dot): number =>
  compareText(a.incarnation, b.incarnation) || compareText(a.hash, b.hash)

export function coversDot(clock: Clock, dot: Dot, isAncestor: IsAncestor): boolean {
  for (let at = firstOf(clock, dot.incarnation); at < clock.length; at++) {
    const entry = clock[at]!
    if (entry.incarnation !== dot.incarnation) return false
    if (isAncestor(dot, entry)) return true
  }
  return false
}

/** What either covers. Gives back one of the two itself when that already covers the other. */
export function joinClocks(a: Clock, b: Clock, isAncestor: IsAncestor): Clock {
  if (b.length === 0 || a === b) return a
  if (a.length === 0) return b
  if (a.length >= b.length && b.every((dot) => coversDot(a, dot, isAncestor))) return a
  if (b.length >= a.length && a.every((dot) => coversDot(b, dot, isAncestor))) return b
  return mergeByIncarnation(a, b, (ofA, ofB) => maximal([...ofA, ...ofB], isAncestor))
}

/** Walks two sorted clocks together; `join` decides where both name an incarnation. */
function mergeByIncarnation(a: Clock, b: Clock, join: (ofA: Clock, ofB: Clock) => Clock): Clock {
  const joined: Dot[] = []
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const order = i === a.length ? 1 : j === b.length ? -1 : compareText(a[i]!.incarnation, b[j]!.incarnation)
    const [fromA, fromB] = [i, j]
    if (order <= 0) i = endOf(a, i)
    if (order >= 0) j = endOf(b, j)
    joined.push(
      ...(order < 0 ? a.slice(fromA, i) : order > 0 ? b.slice(fromB, j) : join(a.slice(fromA, i), b.slice(fromB, j))),
    )
  }
  return joined
}

/** 01-bytes and 03-blocks §2: count, then (incarnation, sequence, hash) for each, in order. */
export function writeClock(writer: Writer, clock: Clock): void {
  writeList(writer, clock, (dot) => writeDot(writer, dot))
}

/** Throws inside `decode` unless sorted and without repetition. */
export function readClock(reader: Reader, max: number): Clock {
  const count = readUint(reader, Math.min(max, Math.floor(bytesLeft(reader) / DOT_BYTES_MIN)))
  if (count === 0) return EMPTY_CLOCK
  const clock: Dot[] = []
  for (let i = 0; i < count; i++) {
    const dot = readDot(reader)
    if (i > 0 && compareDots(clock[i - 1]!, dot) >= 0) throw new Malformed()
    clock.push(dot)
  }
  return clock
}

function writeDot(writer: Writer, { incarnation, sequence, hash }: Dot): void {
  writeId(writer, incarnation)
  writeUint(writer, sequence)
  writeId(writer, hash)
}

function readDot(reader: Reader): Dot {
  const incarnation = readId<IncarnationId>(reader, INCARNATION_BYTES)
  const sequence = readUint(reader, SEQUENCE_MAX)
  if (sequence === 0) throw new Malformed()
  return { incarnation, sequence, hash: readId<BlockHash>(reader, HASH_BYTES) }
}

/** Those that no other one follows, sorted, each once. */
function maximal(dots: readonly Dot[], isAncestor: IsAncestor): Dot[] {
  return dots
    .filter((dot, at) => !dots.some((other, i) => (isSameDot(other, dot) ? i < at : isAncestor(dot, other))))
    .sort(compareDots)
}

/** Where an incarnation's entries begin, or would. */
export function firstOf(clock: Clock, incarnation: IncarnationId): number {
  let low = 0
  let high = clock.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (clock[middle]!.incarnation < incarnation) low = middle + 1
    else high = middle
  }
  return low
}

function endOf(clock: Clock, from: number): number {
  let end = from + 1
  while (end < clock.length && clock[end]!.incarnation === clock[from]!.incarnation) end++
  return end
}

/** The entries of one incarnation. */
export function entriesOf(clock: Clock, incarnation: IncarnationId): Clock {
  const first = firstOf(clock, incarnation)
  return clock[first]?.incarnation === incarnation ? clock.slice(first, endOf(clock, first)) : EMPTY_CLOCK
}

import type { NodeId } from '../ids.ts'
import { type Clock, coversDot, type Dot, type IsAncestor, joinClocks } from './clock.ts'
import type { Heard } from './heard.ts'
import { compareTimes, type HybridTime } from './hybrid-time.ts'
import { joinUnsettled, type Unsettled } from './unsettled.ts'

/** One write of a register as readers see it. */
export interface Entry {
  readonly dot: Dot
  readonly author: NodeId
  readonly time: HybridTime
  /** Undefined: a tombstone. */
  readonly value: string | undefined
}

/**
 * A write in a register's state. `replaces` starts as the block has it and takes over what the writes that it
 * displaced had replaced, so that nothing they displaced comes back once they are gone (invariant 2 below). What it
 * replaces of its own incarnation goes without saying: all of it.
 */
export class StoredWrite implements Entry {
  readonly dot: Dot
  readonly author: NodeId
  readonly time: HybridTime
  readonly value: string | undefined
  replaces: Clock
  applied: Unsettled | undefined

  constructor(
    dot: Dot,
    author: NodeId,
    time: HybridTime,
    value: string | undefined,
    replaces: Clock,
    applied: Unsettled | undefined,
  ) {
    this.dot = dot
    this.author = author
    this.time = time
    this.value = value
    this.replaces = replaces
    this.applied = applied
  }
}

/** What is left of writes that displaced one another, which no honest clocks do: their clocks, and nothing to read. */
export class Ghost extends StoredWrite {}

/**
 * A register's state. One write is by far the usual case and costs no array. Of several the winner is the first; when
 * only ghosts are left there is none.
 */
export type Register = StoredWrite | StoredWrite[]

/**
 * The state is the set of writes that no other folded write replaces (DESIGN.md §7), whatever the order of arrival:
 * 1. A write is in the state exactly when no write folded so far replaces it.
 * 2. Whatever a displaced write replaced is replaced by one that is still in the state: clocks are taken over, never
 *    lost. So this holds for clocks that leave out what they follow, too, which a hostile writer may make.
 */
export function mergeWrite(
  register: Register | undefined,
  write: StoredWrite,
  heard: Heard,
  isAncestor: IsAncestor,
): Register {
  if (register === undefined) return write
  if (!Array.isArray(register)) {
    const displaces = replacesOnArrival(write, heard, register, isAncestor)
    if (!replaces(register, write, isAncestor)) {
      if (!displaces) return beats(write, register) ? [write, register] : [register, write]
      takeOver(write, register, isAncestor)
      return write
    }
    if (!displaces) {
      takeOver(register, write, isAncestor)
      return register
    }
  }
  return mergeMany(Array.isArray(register) ? register : [register], write, heard, isAncestor)
}

function mergeMany(writes: StoredWrite[], write: StoredWrite, heard: Heard, isAncestor: IsAncestor): Register {
  const replacing = writes.filter((other) => replaces(other, write, isAncestor))
  const kept: StoredWrite[] = []
  for (const other of writes) {
    if (replacesOnArrival(write, heard, other, isAncestor)) takeOver(write, other, isAncestor)
    else kept.push(other)
  }
  // After it has taken over itself, so that they get all of it.
  const displacing = replacing.filter((other) => kept.includes(other))
  for (const other of displacing) takeOver(other, write, isAncestor)
  if (replacing.length === 0) kept.push(write)
  else if (displacing.length === 0) {
    const { dot, author, time, applied } = write
    kept.push(new Ghost(dot, author, time, undefined, write.replaces, applied))
  }
  const only = kept[0]
  if (kept.length === 1 && only !== undefined && !(only instanceof Ghost)) return only
  // Whoever was first stays first, unless it is gone or the newcomer beats it: a look at all is rare.
  const newest = kept.length - 1
  if (kept[0] !== writes[0]) bringForward(kept, winnerAt(kept))
  else if (newest > 0 && beats(kept[newest] as StoredWrite, kept[0] as StoredWrite)) bringForward(kept, newest)
  return kept
}

/** Ghosts win over nothing. */
const beats = (a: StoredWrite, b: StoredWrite): boolean =>
  !(a instanceof Ghost) && (b instanceof Ghost || compareEntries(a, b) < 0)

const winnerAt = (writes: readonly StoredWrite[]): number => {
  let at = 0
  for (let each = 1; each < writes.length; each++)
    if (beats(writes[each] as StoredWrite, writes[at] as StoredWrite)) at = each
  return at
}

function bringForward(writes: StoredWrite[], at: number): void {
  const first = writes[0]
  if (first === undefined || at === 0) return
  writes[0] = writes[at] as StoredWrite
  writes[at] = first
}

/** Of writes in any order, as they are stored. */
export function registerOf(writes: StoredWrite[]): Register {
  bringForward(writes, winnerAt(writes))
  return writes
}

/**
 * A write replaces what its clock covers, its own incarnation's earlier writes, and every tombstone that its author
 * had received: that one may have been collected where the write was made, so the clock could not name it. Those that
 * are here already it meets when it arrives; those that are still to come are in `applied`.
 */
function replacesOnArrival(write: StoredWrite, heard: Heard, other: StoredWrite, isAncestor: IsAncestor): boolean {
  return replaces(write, other, isAncestor) || (other.value === undefined && heard.covers(other.dot, isAncestor))
}

function replaces(write: StoredWrite, other: StoredWrite, isAncestor: IsAncestor): boolean {
  const { dot } = other
  if (write.dot.incarnation === dot.incarnation && write.dot.hash !== dot.hash && isAncestor(dot, write.dot))
    return true
  if (write.replaces.length > 0 && coversDot(write.replaces, dot, isAncestor)) return true
  return other.value === undefined && write.applied?.covers(dot, isAncestor) === true
}

function takeOver(write: StoredWrite, displaced: StoredWrite, isAncestor: IsAncestor): void {
  write.replaces = joinClocks(write.replaces, displaced.replaces, isAncestor)
  const more = displaced.applied
  if (more === undefined || more === write.applied || more.isEmpty) return
  write.applied = joinUnsettled(write.applied, more, isAncestor)
}

/** Greatest (timestamp, node, incarnation, counter) first; two branches of a fork differ in their hashes at last. */
export function compareEntries(a: Entry, b: Entry): number {
  return (
    compareTimes(b.time, a.time) ||
    descending(a.author, b.author) ||
    descending(a.dot.incarnation, b.dot.incarnation) ||
    b.dot.sequence - a.dot.sequence ||
    descending(a.dot.hash, b.dot.hash)
  )
}

const descending = (a: string, b: string): number => (a < b ? 1 : a > b ? -1 : 0)

/** The winner: only reading looks for it, the state keeps all. */
export function winnerOf(register: Register): StoredWrite | undefined {
  const first = Array.isArray(register) ? register[0] : register
  return first instanceof Ghost ? undefined : first
}

/** All that no other write replaces, the winner first. */
export const writesOf = (register: Register): StoredWrite[] =>
  Array.isArray(register) ? register.filter((write) => !(write instanceof Ghost)).sort(compareEntries) : [register]

/**
 * Several writes that do not all say the same: with one value, or only deletes, there is nothing to choose. In reading
 * only: the state keeps every write, since each clock covers what the others do not.
 */
export const isConflicted = (register: Register): boolean => {
  if (!Array.isArray(register)) return false
  const winner = winnerOf(register)
  return winner !== undefined && register.some((each) => !(each instanceof Ghost) && each.value !== winner.value)
}

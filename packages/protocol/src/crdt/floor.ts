import { Malformed, type Reader, readByte, readId, type Writer, writeByte, writeId } from '../bytes.ts'
import type { ClosedDigest, IncarnationId } from '../ids.ts'
import { HASH_BYTES } from '../keys.ts'
import type { BlockHeader } from './block.ts'
import { type Clock, type Dot, EMPTY_CLOCK, firstOf, INCARNATION_BYTES, type VersionVector } from './clock.ts'

/**
 * What a vector stands on (docs/spec/03-blocks.md §2.1): the entries of a closed set, named instead of written out.
 * `upTo`: only those of incarnations up to this one; null: all.
 */
export interface Floor {
  readonly digest: ClosedDigest
  readonly upTo: IncarnationId | null
}

/** A vector as it is written down: an incarnation that `rest` names has these entries and none of the floor's. */
export interface Floored {
  readonly floor: Floor | null
  readonly rest: VersionVector
}

/** The closed sets of one document that are known here. */
export interface Floors {
  /** All that the set covers, sorted, one entry for an incarnation. Undefined: not known. */
  entries(digest: ClosedDigest): VersionVector | undefined
  /** The same link by link, and a link that many sets share is always the same array: what is kept for long is these. */
  parts(digest: ClosedDigest): readonly Clock[] | undefined
  /** The set that this replica stands on. */
  readonly current: ClosedDigest | null
}

export const NO_FLOORS: Floors = { entries: () => undefined, parts: () => undefined, current: null }

export const NO_FLOOR = 0x00
export const WHOLE_FLOOR = 0x01
export const PART_OF_FLOOR = 0x02

/**
 * Shortens a vector that is to be written down. Only a beginning of the set is named when the vector lacks some of its
 * incarnations, as that of a replica does which is still receiving its base: those come in the same order.
 */
export function overFloor(vector: VersionVector, floors: Floors): Floored {
  const digest = floors.current
  const set = digest === null ? undefined : floors.entries(digest)
  if (digest === null || set === undefined || set.length === 0) return { floor: null, rest: vector }
  const rest: Dot[] = []
  let upTo: IncarnationId | null = null
  let saved = 0
  let at = 0
  let covered = 0
  for (; covered < set.length; covered++) {
    const entry = set[covered]!
    // Nearly always the same object, and the next is that of another incarnation.
    if (vector[at] === entry && vector[at + 1] === set[covered + 1]) {
      saved += 1
      at += 1
      continue
    }
    for (; at < vector.length && vector[at] !== entry && vector[at]!.incarnation !== entry.incarnation; at++) {
      if (vector[at]!.incarnation > entry.incarnation) break
      rest.push(vector[at]!)
    }
    if (vector[at]?.incarnation !== entry.incarnation) break
    const from = at
    while (vector[at]?.incarnation === entry.incarnation) at++
    const only = vector[from]!
    if (at === from + 1 && only.sequence === entry.sequence && only.hash === entry.hash) saved += 1
    else for (let each = from; each < at; each++) rest.push(vector[each]!)
  }
  if (saved === 0) return { floor: null, rest: vector }
  if (covered < set.length) upTo = set[covered - 1]!.incarnation
  return { floor: { digest, upTo }, rest: rest.concat(vector.slice(at)) }
}

/** The vector itself; undefined when its floor is not known here. */
export function expandFloored({ floor, rest }: Floored, floors: Floors): VersionVector | undefined {
  const set = floor === null ? EMPTY_CLOCK : entriesUnder(floor, floors)
  return set && besides(set, rest)
}

/** What a floor alone stands for. */
export function entriesUnder({ digest, upTo }: Floor, floors: Floors): VersionVector | undefined {
  const set = floors.entries(digest)
  if (set === undefined || upTo === null) return set
  const end = firstOf(set, upTo)
  return set.slice(0, set[end]?.incarnation === upTo ? end + 1 : end)
}

/** The same by reference: however many blocks name it, or another set with the same beginning, its entries are there once. */
export interface FloorPart {
  readonly parts: readonly Clock[]
  readonly upTo: IncarnationId | null
}

export function partUnder({ digest, upTo }: Floor, floors: Floors): FloorPart | undefined {
  const parts = floors.parts(digest)
  return parts && { parts, upTo }
}

export function entryUnder({ parts, upTo }: FloorPart, incarnation: IncarnationId): Dot | undefined {
  if (upTo !== null && incarnation > upTo) return undefined
  for (const entries of parts) {
    const entry = entries[firstOf(entries, incarnation)]
    if (entry?.incarnation === incarnation) return entry
  }
  return undefined
}

/**
 * Why a block cannot be received as far as its floor goes: what it had received cannot be told yet; or the floor names
 * the block's own incarnation, of which its own chain says what it covers, or stands where only a first block has one.
 */
export function unfitFloor(
  { floor, incarnation, sequence }: Pick<BlockHeader, 'floor' | 'incarnation' | 'sequence'>,
  floors: Floors,
): 'waiting' | 'refused' | undefined {
  if (floor === null) return undefined
  const part = partUnder(floor, floors)
  if (part === undefined) return 'waiting'
  return sequence > 1 || entryUnder(part, incarnation) !== undefined ? 'refused' : undefined
}

/** Ends of a base with the objects of the set that is stood on: then what stands on it is compared without a look inside. */
export function sharingDots<Tip extends { readonly dot: Dot }>(tips: readonly Tip[], floors: Floors): readonly Tip[] {
  const set = floors.current === null ? undefined : floors.entries(floors.current)
  if (set === undefined) return tips
  return tips.map((tip) => {
    const entry = set[firstOf(set, tip.dot.incarnation)]
    return entry?.hash === tip.dot.hash && entry.sequence === tip.dot.sequence ? { ...tip, dot: entry } : tip
  })
}

/** Entries of `rest`, and those of `set` whose incarnation it does not name. */
export function besides(set: Clock, rest: Clock): Clock {
  if (set.length === 0) return rest
  if (rest.length === 0) return set
  const all: Dot[] = []
  let from = 0
  for (const [at, dot] of rest.entries()) {
    if (rest[at - 1]?.incarnation !== dot.incarnation) {
      const to = firstOf(set, dot.incarnation)
      while (from < to) all.push(set[from++]!)
      if (set[from]?.incarnation === dot.incarnation) from += 1
    }
    all.push(dot)
  }
  return all.concat(set.slice(from))
}

/**
 * At most `max` entries written out. What is left out claims less than is true; an entry that takes something back
 * from the floor may not be left out, so rather the floor is.
 */
export function atMost(floored: Floored, vector: VersionVector, floors: Floors, max: number): Floored {
  const { floor, rest } = floored
  if (rest.length <= max) return floored
  if (floor === null) return { floor, rest: rest.slice(0, max) }
  const set = entriesUnder(floor, floors) ?? EMPTY_CLOCK
  const isOver = ({ incarnation }: Dot) => set[firstOf(set, incarnation)]?.incarnation === incarnation
  const over = rest.filter(isOver).length
  if (over > max) return { floor: null, rest: vector.slice(0, max) }
  let others = max - over
  return { floor, rest: rest.filter((dot) => isOver(dot) || others-- > 0) }
}

/** `00`; `01` and the digest; or `02`, the digest and the last incarnation. */
export function writeFloor(writer: Writer, floor: Floor | null): void {
  writeByte(writer, floor === null ? NO_FLOOR : floor.upTo === null ? WHOLE_FLOOR : PART_OF_FLOOR)
  if (floor === null) return
  writeId(writer, floor.digest)
  if (floor.upTo !== null) writeId(writer, floor.upTo)
}

/** Throws inside `decode`. */
export function readFloor(reader: Reader): Floor | null {
  const kind = readByte(reader)
  if (kind > PART_OF_FLOOR) throw new Malformed()
  if (kind === NO_FLOOR) return null
  const digest = readId<ClosedDigest>(reader, HASH_BYTES)
  return { digest, upTo: kind === WHOLE_FLOOR ? null : readId<IncarnationId>(reader, INCARNATION_BYTES) }
}

import {
  bytesLeft,
  compareText,
  decode,
  encode,
  fromHex,
  Malformed,
  type Reader,
  readByte,
  readId,
  readText,
  readUint,
  toHex,
  type Writer,
  writeByte,
  writeId,
  writeText,
  writeUint,
} from '../bytes.ts'
import { type BlockHash, type IncarnationId, isItemId, type NodeId } from '../ids.ts'
import { HASH_BYTES } from '../keys.ts'
import { REGISTER_KEY_BYTES_MAX, REGISTER_VALUE_BYTES_MAX, VECTOR_ENTRIES_MAX } from '../limits.ts'
import { assert, type Result } from '../result.ts'
import {
  type Clock,
  compareDots,
  type Dot,
  EMPTY_CLOCK,
  INCARNATION_BYTES,
  type IsAncestor,
  SEQUENCE_MAX,
} from './clock.ts'
import { TIME_COUNTER_MAX, WALL_MS_MAX } from './hybrid-time.ts'
import { Ghost, registerOf, StoredWrite } from './register.ts'
import { Unsettled } from './unsettled.ts'
import { RegisterMap } from './register-map.ts'

/**
 * The whole state of a register map, for whoever wrote it: nothing in it proves who wrote what.
 *
 *   state   count of incarnations, each: incarnation 16 | flag, author 32 if 1
 *           count of dots, each: step of the incarnation | step of the sequence
 *           count of writes, each: step of the dot | flags | key | value, unless a tombstone |
 *             step of the wall ms, signed | counter | replaces | open, each only where the flags say so
 *   hashes  32 bytes for each dot, in their order: what names the signed blocks
 *
 * Dots are sorted by (incarnation, sequence, hash), writes by their dots, so that nearly every step is 0 or 1.
 */
export interface EncodedRegisters {
  readonly state: Uint8Array
  readonly hashes: Uint8Array
}

const TOMBSTONE = 0x01
const GHOST = 0x02
const REPLACES = 0x04
const OPEN = 0x08
const COUNTED = 0x10
const FLAGS_MAX = 0x1f
/** The least that a write takes: a step, flags, a key of one byte, a time. */
const WRITE_BYTES_MIN = 5

export function encodeRegisters(registers: RegisterMap): EncodedRegisters {
  const dots = dotsOf(registers)
  const authors = new Map<IncarnationId, NodeId>()
  const rows: { readonly at: number; readonly key: string; readonly write: StoredWrite }[] = []
  for (const [key, register] of registers.entries()) {
    for (const write of Array.isArray(register) ? register : [register]) {
      authors.set(write.dot.incarnation, write.author)
      rows.push({ at: dots.placeOf(write.dot), key, write })
    }
  }
  rows.sort((a, b) => a.at - b.at || compareText(a.key, b.key))
  const state = encode((w) => {
    writeUint(w, dots.incarnations.length)
    for (const incarnation of dots.incarnations) {
      writeId(w, incarnation)
      const author = authors.get(incarnation)
      writeByte(w, author === undefined ? 0 : 1)
      if (author !== undefined) writeId(w, author)
    }
    writeUint(w, dots.sorted.length)
    let incarnation = 0
    let sequence = 0
    for (const dot of dots.sorted) {
      const at = dots.incarnations.indexOf(dot.incarnation, incarnation)
      writeUint(w, at - incarnation)
      if (at !== incarnation) sequence = 0
      writeUint(w, dot.sequence - sequence)
      incarnation = at
      sequence = dot.sequence
    }
    writeUint(w, rows.length)
    let before = 0
    let wallMs = 0
    for (const { at, key, write } of rows) {
      writeUint(w, at - before)
      before = at
      const { value, time, replaces, applied } = write
      const open = applied?.written() ?? EMPTY_CLOCK
      writeByte(
        w,
        (value === undefined ? TOMBSTONE : 0) |
          (write instanceof Ghost ? GHOST : 0) |
          (replaces.length > 0 ? REPLACES : 0) |
          (open.length > 0 ? OPEN : 0) |
          (time.counter > 0 ? COUNTED : 0),
      )
      writeText(w, key)
      if (value !== undefined) writeText(w, value)
      writeSigned(w, time.wallMs - wallMs)
      wallMs = time.wallMs
      if (time.counter > 0) writeUint(w, time.counter)
      if (replaces.length > 0) writePlaces(w, replaces, dots)
      if (open.length > 0) writePlaces(w, open, dots)
    }
  })
  const hashes = new Uint8Array(dots.sorted.length * HASH_BYTES)
  for (const [at, dot] of dots.sorted.entries()) hashes.set(fromHex(dot.hash), at * HASH_BYTES)
  return { state, hashes }
}

/** Never throws. What was `open` is looked at again by whoever knows what is settled by now. */
export function decodeRegisters(
  { state, hashes }: EncodedRegisters,
  isAncestor?: IsAncestor,
): Result<RegisterMap, { code: 'BYTES_MALFORMED' }> {
  return decode(state, (r) => {
    const incarnations: { readonly id: IncarnationId; readonly author: NodeId | undefined }[] = []
    for (let left = readUint(r, VECTOR_ENTRIES_MAX); left > 0; left--) {
      const id = readId<IncarnationId>(r, INCARNATION_BYTES)
      const flag = readByte(r)
      if (flag > 1) throw new Malformed()
      incarnations.push({ id, author: flag === 1 ? readId<NodeId>(r, 32) : undefined })
    }
    const dots = readDots(r, incarnations, hashes)
    const registers = new RegisterMap(isAncestor)
    const many = new Map<string, StoredWrite[]>()
    let at = 0
    let wallMs = 0
    for (let left = readUint(r, Math.floor(bytesLeft(r) / WRITE_BYTES_MIN)); left > 0; left--) {
      at += readUint(r, dots.length)
      const place = dots[at]
      const flags = readByte(r)
      if (place === undefined || flags > FLAGS_MAX) throw new Malformed()
      const author = incarnations[place.incarnation]?.author
      const key = readText(r, REGISTER_KEY_BYTES_MAX)
      if (author === undefined || !isItemId(key)) throw new Malformed()
      const value = (flags & TOMBSTONE) === 0 ? readText(r, REGISTER_VALUE_BYTES_MAX) : undefined
      wallMs += readSigned(r)
      if (wallMs < 0 || wallMs > WALL_MS_MAX) throw new Malformed()
      const time = { wallMs, counter: (flags & COUNTED) === 0 ? 0 : readUint(r, TIME_COUNTER_MAX) }
      const replaces = (flags & REPLACES) === 0 ? EMPTY_CLOCK : readPlaces(r, dots)
      const applied = (flags & OPEN) === 0 ? undefined : new Unsettled(readPlaces(r, dots))
      const Kind = (flags & GHOST) === 0 ? StoredWrite : Ghost
      const write = new Kind(place.dot, author, time, value, replaces, applied)
      const others = many.get(key)
      const before = registers.get(key)
      if (others !== undefined) others.push(write)
      else if (before === undefined && Kind === StoredWrite) registers.load(key, write)
      else many.set(key, before === undefined ? [write] : [before as StoredWrite, write])
    }
    for (const [key, writes] of many) registers.load(key, registerOf(writes))
    return registers
  })
}

interface Dots {
  readonly sorted: readonly Dot[]
  readonly incarnations: readonly IncarnationId[]
  placeOf(dot: Dot): number
}

function dotsOf(registers: RegisterMap): Dots {
  const all = new Map<string, Dot>()
  const add = (dot: Dot) => all.set(nameOf(dot), dot)
  for (const [, register] of registers.entries()) {
    for (const { dot, replaces, applied } of Array.isArray(register) ? register : [register]) {
      add(dot)
      for (const each of replaces) add(each)
      for (const each of applied?.written() ?? EMPTY_CLOCK) add(each)
    }
  }
  const sorted = [...all.values()].sort(
    (a, b) => compareText(a.incarnation, b.incarnation) || a.sequence - b.sequence || compareText(a.hash, b.hash),
  )
  const places = new Map<string, number>()
  const incarnations: IncarnationId[] = []
  for (const [at, dot] of sorted.entries()) {
    places.set(nameOf(dot), at)
    if (incarnations.at(-1) !== dot.incarnation) incarnations.push(dot.incarnation)
  }
  return {
    sorted,
    incarnations,
    placeOf(dot) {
      const at = places.get(nameOf(dot))
      assert(at !== undefined, 'every dot of the state is in its table')
      return at
    },
  }
}

/** Whoever makes up a clock can put any sequence beside any hash. */
const nameOf = ({ incarnation, sequence, hash }: Dot): string => `${incarnation}${sequence}.${hash}`

interface PlacedDot {
  readonly dot: Dot
  readonly incarnation: number
}

function readDots(r: Reader, incarnations: readonly { readonly id: IncarnationId }[], hashes: Uint8Array): PlacedDot[] {
  const count = readUint(r, Math.floor(bytesLeft(r) / 2))
  if (hashes.length !== count * HASH_BYTES) throw new Malformed()
  const dots: PlacedDot[] = []
  let incarnation = 0
  let sequence = 0
  for (let at = 0; at < count; at++) {
    const step = readUint(r, incarnations.length)
    if (step > 0) sequence = 0
    incarnation += step
    sequence += readUint(r, SEQUENCE_MAX)
    const id = incarnations[incarnation]?.id
    if (id === undefined || sequence === 0 || sequence > SEQUENCE_MAX) throw new Malformed()
    const hash = toHex(hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)) as BlockHash
    dots.push({ dot: { incarnation: id, sequence, hash }, incarnation })
  }
  return dots
}

function writePlaces(w: Writer, clock: Clock, dots: Dots): void {
  writeUint(w, clock.length)
  for (const dot of clock) writeUint(w, dots.placeOf(dot))
}

function readPlaces(r: Reader, dots: readonly PlacedDot[]): Clock {
  const count = readUint(r, Math.min(VECTOR_ENTRIES_MAX, bytesLeft(r)))
  const clock: Dot[] = []
  for (let left = count; left > 0; left--) {
    const place = dots[readUint(r, dots.length)]
    const before = clock.at(-1)
    if (place === undefined || (before !== undefined && compareDots(before, place.dot) >= 0)) throw new Malformed()
    clock.push(place.dot)
  }
  return clock
}

/** Zigzag: the sign in the lowest bit. Beyond 32 bits too. */
const writeSigned = (w: Writer, value: number): void => writeUint(w, value < 0 ? -2 * value - 1 : 2 * value)

function readSigned(r: Reader): number {
  const value = readUint(r)
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2
}

import {
  Malformed,
  type Reader,
  readByte,
  readBytes,
  readText,
  readUint,
  type Writer,
  writeByte,
  writeBytes,
  writeText,
  writeUint,
} from '../bytes.ts'
import { type IncarnationId, isItemId } from '../ids.ts'
import {
  BLOCK_WRITES_MAX,
  CLOCK_ENTRIES_MAX,
  REGISTER_KEY_BYTES_MAX,
  REGISTER_VALUE_BYTES_MAX,
  TEXT_UPDATE_BYTES_MAX,
} from '../limits.ts'
import { assert } from '../result.ts'
import type { Write } from './block.ts'
import { DELETE, SET, TEXT } from './block-walk.ts'
import { type Clock, compareDots, type Dot, EMPTY_CLOCK } from './clock.ts'

/**
 * One write's bytes (03-blocks §5), a leaf of the block's Merkle tree:
 *
 *   0x01 set      key | value | replaces
 *   0x02 delete   key | replaces
 *   0x03 text     Yjs update
 *
 * `replaces` is a list of places in the header's table, ascending: the first as it is, each further one as the
 * distance from the one before. What a write replaces of its own incarnation is not written: it is all of it.
 */
/** By UTF-8 bytes, which is by code points; JavaScript's own order differs beyond U+FFFF. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const difference = rank(a.charCodeAt(at)) - rank(b.charCodeAt(at))
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** Surrogates stand for code points above all other code units. */
const rank = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800)

export function sortedWrites(writes: readonly Write[]): readonly Write[] {
  assert(writes.length > 0 && writes.length <= BLOCK_WRITES_MAX, 'a block holds between one write and its maximum')
  assert(writes.length === 1 || writes.every((write) => write.type !== 'text'), 'a text write is alone in its block')
  const sorted = writes.toSorted((a, b) => compareKeys(keyOf(a), keyOf(b)))
  for (let at = 1; at < sorted.length; at++)
    assert(keyOf(sorted[at - 1]!) !== keyOf(sorted[at]!), 'a block holds one write for each key')
  return sorted
}

export const keyOf = (write: Write): string => (write.type === 'text' ? '' : write.key)

/** Every block that some write replaces, once. */
export function tableOf(writes: readonly Write[], own: IncarnationId): Clock {
  const dots = new Map<string, Dot>()
  for (const write of writes) {
    if (write.type === 'text') continue
    for (const dot of write.replaces) {
      assert(dot.incarnation !== own, 'what a write replaces of its own incarnation goes without saying')
      dots.set(dot.hash, dot)
    }
  }
  return dots.size === 0 ? EMPTY_CLOCK : [...dots.values()].sort(compareDots)
}

export function writeWrite(writer: Writer, write: Write, table: Clock): void {
  switch (write.type) {
    case 'set':
      writeByte(writer, SET)
      writeText(writer, write.key)
      writeText(writer, write.value)
      return writeReplaces(writer, write.replaces, table)
    case 'delete':
      writeByte(writer, DELETE)
      writeText(writer, write.key)
      return writeReplaces(writer, write.replaces, table)
    case 'text':
      writeByte(writer, TEXT)
      return writeBytes(writer, write.update)
  }
}

function writeReplaces(writer: Writer, replaces: Clock, table: Clock): void {
  assert(replaces.length <= CLOCK_ENTRIES_MAX, 'a clock is within its limit when it is drafted')
  writeUint(writer, replaces.length)
  let before = -1
  let at = 0
  for (const dot of replaces) {
    // Both are sorted, so one walk over the table finds all.
    while (table[at]!.hash !== dot.hash) at++
    writeUint(writer, before < 0 ? at : at - before)
    before = at
  }
}

export interface ReadWrites {
  readonly writes: Write[]
  /** Where each begins, and where the last ends: the leaves of the Merkle tree. */
  readonly ends: number[]
}

/** Throws inside `decode` unless canonical: sorted, one write for each key, and no entry of the table unused. */
export function readWrites(reader: Reader, table: Clock): ReadWrites {
  const count = readUint(reader, BLOCK_WRITES_MAX)
  if (count === 0) throw new Malformed()
  const writes: Write[] = []
  const ends = [reader.decoder.pos]
  const used = new Uint8Array(table.length)
  for (let i = 0; i < count; i++) {
    const write = readWrite(reader, table, used)
    const before = writes[i - 1]
    if (write.type === 'text' && count > 1) throw new Malformed()
    if (before !== undefined && compareKeys(keyOf(before), keyOf(write)) >= 0) throw new Malformed()
    writes.push(write)
    ends.push(reader.decoder.pos)
  }
  if (used.includes(0)) throw new Malformed()
  return { writes, ends }
}

/** Throws inside `decode`. Notes in `used` which places of the table it names. */
export function readWrite(reader: Reader, table: Clock, used: Uint8Array): Write {
  switch (readByte(reader)) {
    case SET: {
      const key = readKey(reader)
      const value = readText(reader, REGISTER_VALUE_BYTES_MAX)
      return { type: 'set', key, value, replaces: readReplaces(reader, table, used) }
    }
    case DELETE: {
      const key = readKey(reader)
      return { type: 'delete', key, replaces: readReplaces(reader, table, used) }
    }
    case TEXT:
      return { type: 'text', update: readBytes(reader, TEXT_UPDATE_BYTES_MAX) }
    default:
      throw new Malformed()
  }
}

function readKey(reader: Reader): string {
  const key = readText(reader, REGISTER_KEY_BYTES_MAX)
  if (!isItemId(key)) throw new Malformed()
  return key
}

function readReplaces(reader: Reader, table: Clock, used: Uint8Array): Clock {
  const count = readUint(reader, Math.min(CLOCK_ENTRIES_MAX, table.length))
  if (count === 0) return EMPTY_CLOCK
  const replaces: Dot[] = []
  let at = -1
  for (let i = 0; i < count; i++) {
    const step = readUint(reader, table.length)
    if (i > 0 && step === 0) throw new Malformed()
    at = i === 0 ? step : at + step
    const dot = table[at]
    if (dot === undefined) throw new Malformed()
    used[at] = 1
    replaces.push(dot)
  }
  return replaces
}

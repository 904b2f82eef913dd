import { CRC_START, crcStep, maskedCrc, maskedCrcOf, uint32At } from './crc32c.ts'
import { unpackSnappy } from './snappy.ts'
import { Bytes, uint64At } from './varint.ts'
import type { RawEntry } from './write-batch.ts'

/**
 * LevelDB's sorted tables: data blocks, a filter, an index of the blocks, a footer. Every block has a checksum that
 * LevelDB does not look at when it reads (the binding has no option for it), and that finds every flipped bit, also
 * those in a filter or an index, which would hide entries without changing any.
 */
export interface ReadTable {
  /** Of the data blocks, in no order that could be relied on. */
  entries(): Iterable<RawEntry>
  readonly damaged: readonly TableDamage[]
}

export interface TableDamage {
  readonly what: 'data' | 'filter' | 'index' | 'footer'
  readonly offset: number
  /** The last key before the block and its own last key, where the index tells. */
  readonly after: Uint8Array | undefined
  readonly upTo: Uint8Array | undefined
}

const FOOTER_BYTES = 48
const TRAILER_BYTES = 5
const SEQUENCE_END = 2 ** 53
const MAGIC = Uint8Array.of(0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb)

interface Handle {
  readonly offset: number
  readonly size: number
}

export function readTable(bytes: Uint8Array): ReadTable {
  const damaged: TableDamage[] = []
  const complain = (what: TableDamage['what'], offset: number, after?: Uint8Array, upTo?: Uint8Array) =>
    damaged.push({ what, offset, after, upTo })
  const footerAt = bytes.length - FOOTER_BYTES
  const footer = new Bytes(bytes, Math.max(0, footerAt))
  const metaIndex = handleFrom(footer)
  const index = handleFrom(footer)
  const magic = MAGIC.every((byte, i) => bytes[bytes.length - MAGIC.length + i] === byte)
  const padding = footerAt >= 0 && bytes.subarray(footer.at, bytes.length - MAGIC.length).every((byte) => byte === 0)
  const isBlock = (handle: Handle | undefined): boolean => handle !== undefined && matches(bytes, handle)
  if (footerAt < 0 || !magic || !padding || !fits(bytes, index) || !fits(bytes, metaIndex)) {
    complain('footer', Math.max(0, footerAt))
    return { entries: () => entriesOf(bytes, blocksWithoutIndex(bytes)), damaged }
  }
  if (!isBlock(index)) complain('index', index.offset)
  if (!isBlock(metaIndex)) complain('filter', metaIndex.offset)
  else
    for (const { value } of blockEntries(contentOf(bytes, metaIndex).bytes)) {
      const filter = handleFrom(new Bytes(value))
      if (!isBlock(filter)) complain('filter', filter?.offset ?? 0)
    }
  if (!isBlock(index)) return { entries: () => entriesOf(bytes, blocksWithoutIndex(bytes)), damaged }
  const blocks: Handle[] = []
  let after: Uint8Array | undefined
  for (const { key, value } of blockEntries(contentOf(bytes, index).bytes)) {
    const handle = handleFrom(new Bytes(value))
    const upTo = key.subarray(0, Math.max(0, key.length - 8))
    if (!isBlock(handle)) complain('data', handle?.offset ?? 0, after, upTo)
    if (fits(bytes, handle)) blocks.push(handle)
    after = upTo
  }
  return { entries: () => entriesOf(bytes, blocks), damaged }
}

function* entriesOf(bytes: Uint8Array, blocks: Iterable<Handle>): Iterable<RawEntry> {
  for (const handle of blocks) {
    for (const { key, value } of blockEntries(contentOf(bytes, handle).bytes)) {
      if (key.length < 8) continue
      // The last eight bytes: a sequence of 56 bits above one byte of type.
      const tail = uint64At(key, key.length - 8)
      const sequence = Math.floor(tail / 256)
      const type = key[key.length - 8]
      // An index, read as data where nothing tells it apart, has keys above all sequences.
      if ((type === 0 || type === 1) && sequence < SEQUENCE_END)
        yield { key: key.subarray(0, key.length - 8), value: type === 1 ? value : undefined, sequence }
    }
  }
}

/** Blocks lie end to end from the beginning: where one ends its checksum tells, by one pass over its bytes. */
function* blocksWithoutIndex(bytes: Uint8Array): Iterable<Handle> {
  for (let offset = 0; offset < bytes.length; ) {
    let state = CRC_START
    let size = -1
    for (let at = offset; at + TRAILER_BYTES <= bytes.length; at++) {
      const type = bytes[at]!
      if (type <= 1 && maskedCrc(crcStep(state, type)) === uint32At(bytes, at + 1)) {
        size = at - offset
        break
      }
      state = crcStep(state, type)
    }
    if (size < 0) return
    yield { offset, size }
    offset += size + TRAILER_BYTES
  }
}

/** Keys share what they have in common with the one before. Stops where that makes no sense. */
function* blockEntries(block: Uint8Array): Iterable<{ key: Uint8Array; value: Uint8Array }> {
  if (block.length < 4) return
  const restarts = uint32At(block, block.length - 4)
  const end = block.length - 4 - 4 * restarts
  const source = new Bytes(block, 0, end > 0 ? end : block.length - 4)
  let last = new Uint8Array()
  while (!source.done) {
    const shared = source.varint()
    const own = source.varint()
    const length = source.varint()
    const rest = source.run(own)
    const value = source.run(length)
    if (shared === undefined || shared > last.length || rest === undefined || value === undefined) return
    const key = new Uint8Array(shared + rest.length)
    key.set(last.subarray(0, shared))
    key.set(rest, shared)
    last = key
    yield { key, value }
  }
}

function contentOf(
  bytes: Uint8Array,
  { offset, size }: Handle,
): { readonly bytes: Uint8Array; readonly whole: boolean } {
  const stored = bytes.subarray(offset, offset + size)
  return bytes[offset + size] === 1 ? unpackSnappy(stored) : { bytes: stored, whole: true }
}

const fits = (bytes: Uint8Array, handle: Handle | undefined): handle is Handle =>
  handle !== undefined && handle.offset + handle.size + TRAILER_BYTES <= bytes.length - FOOTER_BYTES

const matches = (bytes: Uint8Array, handle: Handle): boolean =>
  fits(bytes, handle) &&
  maskedCrcOf(bytes, handle.offset, handle.offset + handle.size + 1) ===
    uint32At(bytes, handle.offset + handle.size + 1)

function handleFrom(source: Bytes): Handle | undefined {
  const offset = source.varint()
  const size = source.varint()
  return offset === undefined || size === undefined ? undefined : { offset, size }
}

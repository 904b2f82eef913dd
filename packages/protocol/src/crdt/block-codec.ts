import { length as bytesWritten } from 'lib0/encoding'
import {
  compareText,
  concatBytes,
  type DecodeError,
  decode,
  encode,
  fromHex,
  Malformed,
  type Reader,
  readByte,
  readFixed,
  readId,
  readList,
  readText,
  readUint,
  toHex,
  utf8,
  type Writer,
  writeByte,
  writeFixed,
  writeId,
  writeList,
  writeText,
  writeUint,
} from '../bytes.ts'
import {
  type AgentId,
  type BlockHash,
  type DocumentId,
  type IncarnationId,
  isName,
  type MeshId,
  NAME_CHARACTERS_MAX,
  type NodeId,
  type RecordHash,
} from '../ids.ts'
import { HASH_BYTES, type Secret, SIGNATURE_BYTES, type Signature, type SignPublicKey } from '../keys.ts'
import { BLOCK_BYTES_MAX, LOG_HEADS_MAX, VECTOR_ENTRIES_MAX } from '../limits.ts'
import { assert, err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { BLOCK_VERSION } from '../version.ts'
import type { Block, BlockHeader, DocumentName, TermRef, Write } from './block.ts'
import { headerLengthOf, isShortest } from './block-walk.ts'
import { type Clock, INCARNATION_BYTES, readClock, SEQUENCE_MAX, writeClock } from './clock.ts'
import { readFloor, writeFloor } from './floor.ts'
import { TIME_COUNTER_MAX, WALL_MS_MAX } from './hybrid-time.ts'
import { rootOf } from './merkle.ts'
import { readWrites, sortedWrites, tableOf, writeWrite } from './write-codec.ts'

/**
 * A block's bytes (docs/spec/03-blocks.md §4):
 *
 *   header   version 1B | mesh 32B | agent 32B | layer | author 32B | incarnation 16B | sequence |
 *            previous 32B, unless the sequence is 1 | wall ms | counter | log heads | floor | received |
 *            term: 0x00, or 0x01 number assign 32B | replaced: the blocks that writes replace
 *   writes   list of writes, sorted by key
 *   signature 64B over tag, header and the Merkle root of the writes
 */
export type BlockError =
  | { readonly code: 'BLOCK_SIZE'; readonly bytes: number }
  | { readonly code: 'BLOCK_VERSION'; readonly version: number }
  | { readonly code: 'BLOCK_MALFORMED' }

const TERM_NUMBER_MAX = 2 ** 40
const UNSIGNED = new Uint8Array(SIGNATURE_BYTES)

export type BlockDraft = Omit<BlockHeader, 'writesRoot'> & { readonly writes: readonly Write[] }

/** Orders heads and writes itself. What it makes, `decodeBlock` accepts, up to the limit on bytes. */
export function signBlock(draft: BlockDraft, secret: Secret<'sign'>, sodium: Sodium): Block {
  const { writes, ...rest } = draft
  const sorted = sortedWrites(writes)
  const table = tableOf(sorted, draft.incarnation)
  const header = { ...rest, logHeads: draft.logHeads.toSorted(compareText) }
  // One buffer, with room for the signature: small ones cost more than what is in them.
  let headerEnd = 0
  const ends: number[] = []
  const bytes = encode((writer) => {
    writeHeader(writer, header, table)
    headerEnd = bytesWritten(writer)
    writeUint(writer, sorted.length)
    ends.push(bytesWritten(writer))
    for (const write of sorted) {
      writeWrite(writer, write, table)
      ends.push(bytesWritten(writer))
    }
    writeFixed(writer, UNSIGNED)
  })
  const headerBytes = bytes.subarray(0, headerEnd)
  const writesRoot = rootOf(bytes, ends, sodium)
  const signature = sodium.sign(concatBytes(TAGS.block, headerBytes, writesRoot), secret)
  bytes.set(signature, bytes.length - SIGNATURE_BYTES)
  const hash = hashOf(headerBytes, writesRoot, sodium)
  return { header: { ...header, writesRoot }, writes: sorted, signature, hash, bytes }
}

/**
 * Untrusted bytes in. Never throws. Checks structure, limits and canonical form, and computes the writes' root and
 * the hash; the signature is `verifyBlock`'s. The result shares memory with `bytes`.
 */
export function decodeBlock(bytes: Uint8Array, sodium: Sodium): Result<Block, BlockError> {
  if (bytes.length > BLOCK_BYTES_MAX) return err({ code: 'BLOCK_SIZE', bytes: bytes.length })
  const version = bytes[0]
  if (version !== undefined && version !== BLOCK_VERSION) return err({ code: 'BLOCK_VERSION', version })
  const block = decode(bytes, (reader) => readBlock(reader, sodium))
  return block.ok ? ok(block.value) : err({ code: 'BLOCK_MALFORMED' })
}

/** The header of bytes that were a block once: nothing is hashed. */
export const decodeHeader = (bytes: Uint8Array): Result<Omit<BlockHeader, 'writesRoot'>, DecodeError> =>
  decode(bytes.subarray(0, headerLengthOf(bytes)), readHeader)

/** The writes of bytes that were a block once: nothing is hashed. */
export const decodeWrites = (bytes: Uint8Array): Result<Write[], DecodeError> =>
  decode(bytes, (reader) => {
    const { writes } = readWrites(reader, readHeader(reader).table)
    readFixed(reader, SIGNATURE_BYTES)
    return writes
  })

/** Whether the node that owns `signKey` wrote it: the caller looks the key up by the header's author. */
export function verifyBlock(block: Block, signKey: SignPublicKey, sodium: Sodium): boolean {
  const headerBytes = block.bytes.subarray(0, headerLengthOf(block.bytes))
  return sodium.verify(block.signature, concatBytes(TAGS.block, headerBytes, block.header.writesRoot), signKey)
}

/** 03-blocks §1. */
export const documentIdOf = (name: DocumentName, sodium: Sodium): DocumentId =>
  toHex(sodium.hash([TAGS.documentId, fromHex(name.agent), utf8(name.layer)])) as DocumentId

/**
 * Yjs client id of an incarnation: its first 48 bits. Two that collide are settled by `CLIENT_TAKEN`, since whoever
 * mints an incarnation can choose its bits.
 */
export const clientIdOf = (incarnation: IncarnationId): number => Number.parseInt(incarnation.slice(0, 12), 16)

function readBlock(reader: Reader, sodium: Sodium): Block {
  const { arr, pos: start } = reader.decoder
  const { table, ...rest } = readHeader(reader)
  const headerBytes = arr.subarray(start, reader.decoder.pos)
  const { writes, ends } = readWrites(reader, table)
  const writesRoot = rootOf(arr, ends, sodium)
  const signature = readFixed(reader, SIGNATURE_BYTES) as Signature
  if (!isShortest(arr)) throw new Malformed()
  return {
    header: { ...rest, writesRoot },
    writes,
    signature,
    hash: hashOf(headerBytes, writesRoot, sodium),
    bytes: arr,
  }
}

/** The signature is not in it: a block signed twice is one block, and nobody else can make a second hash of it. */
export const hashOf = (headerBytes: Uint8Array, writesRoot: Uint8Array, sodium: Sodium): BlockHash =>
  toHex(sodium.hash([TAGS.blockHash, headerBytes, writesRoot])) as BlockHash

function writeHeader(writer: Writer, header: Omit<BlockHeader, 'writesRoot'>, table: Clock): void {
  writeByte(writer, BLOCK_VERSION)
  writeId(writer, header.mesh)
  writeId(writer, header.document.agent)
  writeText(writer, header.document.layer)
  writeId(writer, header.author)
  writeId(writer, header.incarnation)
  writeUint(writer, header.sequence)
  assert((header.previous === null) === (header.sequence === 1), 'exactly the first block has no previous one')
  if (header.previous !== null) writeId(writer, header.previous)
  writeUint(writer, header.time.wallMs)
  writeUint(writer, header.time.counter)
  writeList(writer, header.logHeads, (head) => writeId(writer, head))
  assert(header.floor === null || header.sequence === 1, 'only a first block stands on a closed set')
  writeFloor(writer, header.floor)
  writeClock(writer, header.received)
  writeByte(writer, header.term === null ? 0 : 1)
  if (header.term !== null) {
    writeUint(writer, header.term.number)
    writeId(writer, header.term.assign)
  }
  writeClock(writer, table)
}

/** Throws inside `decode`. */
export function readHeader(reader: Reader): Omit<BlockHeader, 'writesRoot'> & { table: Clock } {
  if (readByte(reader) !== BLOCK_VERSION) throw new Malformed()
  const mesh = readId<MeshId>(reader, 32)
  const agent = readId<AgentId>(reader, 32)
  const layer = readText(reader, NAME_CHARACTERS_MAX)
  if (!isName(layer)) throw new Malformed()
  const author = readId<NodeId>(reader, 32)
  const incarnation = readId<IncarnationId>(reader, INCARNATION_BYTES)
  const sequence = readUint(reader, SEQUENCE_MAX)
  if (sequence === 0) throw new Malformed()
  const previous = sequence === 1 ? null : readId<BlockHash>(reader, HASH_BYTES)
  const time = { wallMs: readUint(reader, WALL_MS_MAX), counter: readUint(reader, TIME_COUNTER_MAX) }
  const logHeads = readList(reader, LOG_HEADS_MAX, () => readId<RecordHash>(reader, HASH_BYTES))
  logHeads.forEach((head, at) => {
    if (at > 0 && logHeads[at - 1]! >= head) throw new Malformed()
  })
  const floor = readFloor(reader)
  if (floor !== null && sequence > 1) throw new Malformed()
  const received = readForeign(reader, incarnation)
  const term = readTerm(reader)
  const table = readForeign(reader, incarnation)
  return {
    mesh,
    document: { agent, layer },
    author,
    incarnation,
    sequence,
    previous,
    time,
    logHeads,
    floor,
    received,
    term,
    table,
  }
}

/** A block's own chain says what it covers of its own incarnation: no clock of it may. */
function readForeign(reader: Reader, incarnation: IncarnationId): Clock {
  const clock = readClock(reader, VECTOR_ENTRIES_MAX)
  if (clock.some((dot) => dot.incarnation === incarnation)) throw new Malformed()
  return clock
}

function readTerm(reader: Reader): TermRef | null {
  const flag = readByte(reader)
  if (flag > 1) throw new Malformed()
  return flag === 0
    ? null
    : { number: readUint(reader, TERM_NUMBER_MAX), assign: readId<RecordHash>(reader, HASH_BYTES) }
}

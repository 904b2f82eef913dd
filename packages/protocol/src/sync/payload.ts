import type { DocumentName } from '../crdt/block.ts'
import {
  type Clock,
  type Dot,
  INCARNATION_BYTES,
  readClock,
  SEQUENCE_MAX,
  type VersionVector,
  writeClock,
} from '../crdt/clock.ts'
import {
  decode,
  encode,
  Malformed,
  type Reader,
  readByte,
  readBytes,
  readFixed,
  readId,
  readList,
  readText,
  readUint,
  writeByte,
  writeBytes,
  writeFixed,
  writeId,
  writeList,
  writeText,
  writeUint,
} from '../bytes.ts'
import { readFloor, type Floor, writeFloor } from '../crdt/floor.ts'
import { type AgentId, type BlockHash, type ClosedDigest, type IncarnationId, isName } from '../ids.ts'
import { HASH_BYTES } from '../keys.ts'
import {
  DRILL_BODY_BYTES_MAX,
  AWARENESS_BYTES_MAX,
  BLOCK_BYTES_MAX,
  LETTER_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  RECORD_BYTES_MAX,
  ROW_BYTES_MAX,
  VECTOR_ENTRIES_MAX,
} from '../limits.ts'
import { err, ok, type Result } from '../result.ts'
import { BUCKETS_MAX } from './heads-tree.ts'

/**
 * What nodes say to each other inside packets of kind `sync` (docs/spec/08-sync.md). The packet's own signature and
 * log heads cover every item, so a receipt needs no signature of its own.
 *
 *   0x01 records   list of record bytes
 *   0x02 blocks    list of block bytes; each names its document
 *   0x03 vectors   flags | list of (document, version vector)
 *   0x04 heads     flags | root (32 B) | documents that it is over
 *   0x05 want-records (empty): send me what the heads of this packet do not cover
 *   0x06 awareness agent | layer | update: who edits a text, for as long as that is news; never stored
 *   0x07 buckets  list of (bucket 1B, digest 32 B), ascending
 *   0x08 pruned   agent | layer | floor | ends: list of (dot, heard) | rows: list of
 *                 (after: the sequence before it, bytes of a row)
 *   0x09 want-closed  agent | layer | digest: send me this closed set's link, and the links before it
 *   0x0a closed   agent | layer | list of link bytes, each the parent of the one before
 *   0x0b failover word 1B | agent | nonce 16: news of the moment between those who may hold an agent; never stored
 *   0x0c drill    id 16 | bytes: a word of a drill (drills/exchange.ts); never stored
 *   0x0d letters  list of (sending agent | list of receiving agents | message as JSON): docs/spec/16-agents.md §6
 *   0x0e letters-taken  list of (sending agent | receiving agent | id | outcome 1B | time)
 */
export type SyncItem =
  | { readonly type: 'records'; readonly records: readonly Uint8Array[] }
  | { readonly type: 'blocks'; readonly blocks: readonly Uint8Array[] }
  /** What the sender has durably received: its receipt. With `asks`, also a request for all that it lacks. */
  | { readonly type: 'vectors'; readonly asks: boolean; readonly documents: readonly DocumentVector[] }
  /** One root over all documents that both may read; `fresh` right after connecting, when it is answered at once. */
  | { readonly type: 'heads'; readonly fresh: boolean; readonly root: Uint8Array; readonly documents: number }
  | { readonly type: 'want-records' }
  /** What the root is made of, after roots that differed: which of many documents differ. */
  | { readonly type: 'buckets'; readonly buckets: readonly { readonly bucket: number; readonly digest: Uint8Array }[] }
  /** What is left of the blocks below the sender's base, for a reader who has not got them (docs/spec/09-bases.md §4). */
  | PrunedItem
  | { readonly type: 'want-closed'; readonly document: DocumentName; readonly digest: ClosedDigest }
  /** Links of a closed set (docs/spec/03-blocks.md §2.1), the asked one first. */
  | { readonly type: 'closed'; readonly document: DocumentName; readonly links: readonly Uint8Array[] }
  /** `take`: it is handed to you. `heads?` is answered by `heads`, in a packet that names the log heads of then. */
  | FailoverItem
  /** What standby and holder say to each other in a drill (docs/spec/14-drills.md §4). */
  | DrillItem
  | LettersItem
  | LettersTakenItem
  /** States of y-protocols' awareness, as its encoder makes them. */
  | { readonly type: 'awareness'; readonly document: DocumentName; readonly update: Uint8Array }

const FAILOVER_WORDS = ['take', 'heads?', 'heads'] as const
export interface FailoverItem {
  readonly type: 'failover'
  readonly word: (typeof FAILOVER_WORDS)[number]
  readonly agent: AgentId
  readonly nonce: Uint8Array
}
export const FAILOVER_NONCE_BYTES = 16

export interface DrillItem {
  readonly type: 'drill'
  /** 16 bytes in hexadecimal, of the standby's choice. */
  readonly drill: string
  readonly body: Uint8Array
}

/** Messages between agents of two machines (docs/spec/16-agents.md §6). */
export interface LettersItem {
  readonly type: 'letters'
  readonly letters: readonly SentLetter[]
}

export interface SentLetter {
  readonly sender: AgentId
  readonly recipients: readonly AgentId[]
  /** JSON text of a message. */
  readonly message: Uint8Array
}

/** What became of letters, one for each recipient. */
export interface LettersTakenItem {
  readonly type: 'letters-taken'
  readonly answers: readonly LetterAnswer[]
}

export interface LetterAnswer {
  readonly sender: AgentId
  readonly recipient: AgentId
  /** Of the message, as its sender knows it. */
  readonly id: string
  readonly outcome: LetterOutcome
  /** When that was, by the clock of the machine that answers; milliseconds since 1970. */
  readonly atMs: number
}

/**
 * `full`: there is no room now, and the sender may try again. `refused`: there will be no other answer. Those behind it
 * are told of what was taken, once each, and are not asked for again.
 */
const LETTER_OUTCOMES = ['taken', 'full', 'refused', 'handed', 'acknowledged', 'expired', 'dropped'] as const
export type LetterOutcome = (typeof LETTER_OUTCOMES)[number]

export interface PrunedItem {
  readonly type: 'pruned'
  readonly document: DocumentName
  /** What of the base is not written out: it has nothing in `heard`. */
  readonly floor: Floor | null
  /** The rest of the base. */
  readonly ends: readonly { readonly dot: Dot; readonly heard: Clock }[]
  /** In chain order within each incarnation. */
  readonly rows: readonly PrunedRow[]
}

export interface PrunedRow {
  /** Of its incarnation nothing is left between this sequence and its own. */
  readonly after: number
  /** A pruned block or a text run, as `decodeRow` reads them. */
  readonly bytes: Uint8Array
}

export interface DocumentVector {
  readonly document: DocumentName
  /** On the wire: what `vector` stands on. Absent: nothing. */
  readonly floor?: Floor
  readonly vector: VersionVector
}

const ITEMS_MAX = 64 // A sender makes a handful of items; more is somebody playing.
const BLOCKS_MAX = 4_096 // A payload of the smallest blocks.
const RECORDS_MAX = 2_048
const VECTORS_MAX = 4_096
const LINKS_MAX = 16 // Three full ones fit; the last of many sets are small.
/** Its entries at 57 B, with room for long sequences. */
const LINK_BYTES_MAX = 65_536
export const LETTERS_MAX = 64
export const LETTER_RECIPIENTS_MAX = 64
export const LETTER_ANSWERS_MAX = 256
const LETTER_ID_BYTES_MAX = 64
const FLAG = 0x01
const LAYER_BYTES_MAX = 64
const DRILL_ID_BYTES = 16

export function encodePayload(items: readonly SyncItem[]): Uint8Array {
  return encode((w) =>
    writeList(w, items, (item) => {
      switch (item.type) {
        case 'records':
          writeByte(w, 0x01)
          return writeList(w, item.records, (bytes) => writeBytes(w, bytes))
        case 'blocks':
          writeByte(w, 0x02)
          return writeList(w, item.blocks, (bytes) => writeBytes(w, bytes))
        case 'vectors':
          writeByte(w, 0x03)
          writeByte(w, item.asks ? FLAG : 0)
          return writeList(w, item.documents, ({ document, floor, vector }) => {
            writeId(w, document.agent)
            writeText(w, document.layer)
            writeFloor(w, floor ?? null)
            writeClock(w, vector)
          })
        case 'heads':
          writeByte(w, 0x04)
          writeByte(w, item.fresh ? FLAG : 0)
          writeFixed(w, item.root)
          return writeUint(w, item.documents)
        case 'want-records':
          return writeByte(w, 0x05)
        case 'buckets':
          writeByte(w, 0x07)
          return writeList(w, item.buckets, ({ bucket, digest }) => {
            writeByte(w, bucket)
            writeFixed(w, digest)
          })
        case 'pruned':
          writeByte(w, 0x08)
          writeId(w, item.document.agent)
          writeText(w, item.document.layer)
          writeFloor(w, item.floor)
          writeList(w, item.ends, ({ dot, heard }) => {
            writeId(w, dot.incarnation)
            writeUint(w, dot.sequence)
            writeId(w, dot.hash)
            writeClock(w, heard)
          })
          return writeList(w, item.rows, ({ after, bytes }) => {
            writeUint(w, after)
            writeBytes(w, bytes)
          })
        case 'want-closed':
          writeByte(w, 0x09)
          writeId(w, item.document.agent)
          writeText(w, item.document.layer)
          return writeId(w, item.digest)
        case 'closed':
          writeByte(w, 0x0a)
          writeId(w, item.document.agent)
          writeText(w, item.document.layer)
          return writeList(w, item.links, (bytes) => writeBytes(w, bytes))
        case 'failover':
          writeByte(w, 0x0b)
          writeByte(w, FAILOVER_WORDS.indexOf(item.word))
          writeId(w, item.agent)
          return writeFixed(w, item.nonce)
        case 'drill':
          writeByte(w, 0x0c)
          writeId(w, item.drill)
          return writeBytes(w, item.body)
        case 'letters':
          writeByte(w, 0x0d)
          return writeList(w, item.letters, ({ sender, recipients, message }) => {
            writeId(w, sender)
            writeList(w, recipients, (agent) => writeId(w, agent))
            writeBytes(w, message)
          })
        case 'letters-taken':
          writeByte(w, 0x0e)
          return writeList(w, item.answers, ({ sender, recipient, id, outcome, atMs }) => {
            writeId(w, sender)
            writeId(w, recipient)
            writeText(w, id)
            writeByte(w, LETTER_OUTCOMES.indexOf(outcome))
            writeUint(w, atMs)
          })
        case 'awareness':
          writeByte(w, 0x06)
          writeId(w, item.document.agent)
          writeText(w, item.document.layer)
          return writeBytes(w, item.update)
      }
    }),
  )
}

export interface PayloadError {
  code: 'PAYLOAD_MALFORMED'
}

/** Bytes from a member, which may be compromised. Never throws. Records and blocks share memory with `bytes`. */
export function decodePayload(bytes: Uint8Array): Result<SyncItem[], PayloadError> {
  if (bytes.length > PAYLOAD_BYTES_MAX) return err({ code: 'PAYLOAD_MALFORMED' })
  const items = decode(bytes, (r) => readList(r, ITEMS_MAX, readItem))
  return items.ok && sayOnce(items.value) ? ok(items.value) : err({ code: 'PAYLOAD_MALFORMED' })
}

/**
 * Each document has one vector among those that ask and one among the others, and one base: 33 bytes of a floor may
 * stand for megabytes here.
 */
function sayOnce(items: readonly SyncItem[]): boolean {
  const said = new Set<string>()
  const isNew = (kind: string, { agent, layer }: DocumentName): boolean =>
    said.size < said.add(`${kind} ${agent}.${layer}`).size
  return items.every((item) => {
    if (item.type === 'vectors')
      return item.documents.every(({ document }) => isNew(item.asks ? 'asks' : 'says', document))
    return item.type !== 'pruned' || isNew('base', item.document)
  })
}

function readItem(r: Reader): SyncItem {
  switch (readByte(r)) {
    case 0x01:
      return { type: 'records', records: readList(r, RECORDS_MAX, () => readBytes(r, RECORD_BYTES_MAX)) }
    case 0x02:
      return { type: 'blocks', blocks: readList(r, BLOCKS_MAX, () => readBytes(r, BLOCK_BYTES_MAX)) }
    case 0x03:
      return { type: 'vectors', asks: readFlag(r), documents: readList(r, VECTORS_MAX, readDocumentVector) }
    case 0x04:
      return { type: 'heads', fresh: readFlag(r), root: readFixed(r, HASH_BYTES), documents: readUint(r) }
    case 0x05:
      return { type: 'want-records' }
    case 0x06:
      return { type: 'awareness', document: readDocument(r), update: readBytes(r, AWARENESS_BYTES_MAX) }
    case 0x07:
      return { type: 'buckets', buckets: readBuckets(r) }
    case 0x08:
      return readPruned(r)
    case 0x09:
      return { type: 'want-closed', document: readDocument(r), digest: readId<ClosedDigest>(r, HASH_BYTES) }
    case 0x0a:
      return {
        type: 'closed',
        document: readDocument(r),
        links: readList(r, LINKS_MAX, () => readBytes(r, LINK_BYTES_MAX)),
      }
    case 0x0b:
      return readFailover(r)
    case 0x0c:
      return { type: 'drill', drill: readId<string>(r, DRILL_ID_BYTES), body: readBytes(r, DRILL_BODY_BYTES_MAX) }
    case 0x0d:
      return { type: 'letters', letters: readList(r, LETTERS_MAX, readLetter) }
    case 0x0e:
      return { type: 'letters-taken', answers: readList(r, LETTER_ANSWERS_MAX, readAnswer) }
    default:
      throw new Malformed()
  }
}

function readLetter(r: Reader): SentLetter {
  const sender = readId<AgentId>(r, 32)
  const recipients = readList(r, LETTER_RECIPIENTS_MAX, () => readId<AgentId>(r, 32))
  return { sender, recipients, message: readBytes(r, LETTER_BYTES_MAX) }
}

function readAnswer(r: Reader): LetterAnswer {
  const sender = readId<AgentId>(r, 32)
  const recipient = readId<AgentId>(r, 32)
  const id = readText(r, LETTER_ID_BYTES_MAX)
  const outcome = LETTER_OUTCOMES[readByte(r)]
  if (outcome === undefined) throw new Malformed()
  return { sender, recipient, id, outcome, atMs: readUint(r) }
}

function readFailover(r: Reader): SyncItem {
  const word = FAILOVER_WORDS[readByte(r)]
  if (word === undefined) throw new Malformed()
  return { type: 'failover', word, agent: readId<AgentId>(r, 32), nonce: readFixed(r, FAILOVER_NONCE_BYTES) }
}

function readPruned(r: Reader): PrunedItem {
  const document = readDocument(r)
  const floor = readFloor(r)
  let before = ''
  const ends = readList(r, VECTOR_ENTRIES_MAX, () => {
    const incarnation = readId<IncarnationId>(r, INCARNATION_BYTES)
    // Bases have no forks: each incarnation once.
    if (incarnation <= before) throw new Malformed()
    before = incarnation
    const sequence = readUint(r, SEQUENCE_MAX)
    if (sequence === 0) throw new Malformed()
    const dot = { incarnation, sequence, hash: readId<BlockHash>(r, HASH_BYTES) }
    return { dot, heard: readClock(r, VECTOR_ENTRIES_MAX) }
  })
  const rows = readList(r, BLOCKS_MAX, () => ({
    after: readUint(r, SEQUENCE_MAX),
    bytes: readBytes(r, ROW_BYTES_MAX),
  }))
  return { type: 'pruned', document, floor, ends, rows }
}

function readBuckets(r: Reader): { bucket: number; digest: Uint8Array }[] {
  let before = -1
  return readList(r, BUCKETS_MAX, () => {
    const bucket = readByte(r)
    if (bucket <= before) throw new Malformed()
    before = bucket
    return { bucket, digest: readFixed(r, HASH_BYTES) }
  })
}

function readDocumentVector(r: Reader): DocumentVector {
  const document = readDocument(r)
  const floor = readFloor(r)
  const vector = readClock(r, VECTOR_ENTRIES_MAX)
  return floor === null ? { document, vector } : { document, floor, vector }
}

function readDocument(r: Reader): DocumentName {
  const agent = readId<AgentId>(r, 32)
  const layer = readText(r, LAYER_BYTES_MAX)
  if (!isName(layer)) throw new Malformed()
  return { agent, layer }
}

function readFlag(r: Reader): boolean {
  const flags = readByte(r)
  if (flags > FLAG) throw new Malformed()
  return flags === FLAG
}

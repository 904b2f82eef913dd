import {
  decode,
  encode,
  Malformed,
  type Reader,
  readByte,
  readId,
  readList,
  readUint,
  type Writer,
  writeByte,
  writeId,
  writeList,
  writeUint,
} from '@sealmesh/protocol/bytes'
import type { BaseTip } from '@sealmesh/protocol/crdt/base'
import { INCARNATION_BYTES, readClock, SEQUENCE_MAX, writeClock } from '@sealmesh/protocol/crdt/clock'
import { TIME_COUNTER_MAX, WALL_MS_MAX } from '@sealmesh/protocol/crdt/hybrid-time'
import type { BlockHash, DocumentId, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import { HASH_BYTES } from '@sealmesh/protocol/keys'
import { BASE_ENDS_MAX, VECTOR_ENTRIES_MAX } from '@sealmesh/protocol/limits'
import { Failure } from '@sealmesh/protocol/errors'
import { blockOf, encodeRow, type Row } from '@sealmesh/protocol/crdt/row'
import { CLOCK_MAX } from '@sealmesh/protocol/crdt/text-update'
import type { StoredBlock } from './block-store.ts'
import {
  afterPrefix,
  baseKey,
  describeKey,
  documentOfKey,
  dotOfPrunedKey,
  generationOfPrunedKey,
  prunedDocument,
  prunedFrom,
  prunedKey,
  prunedPrefix,
  TABLES,
  tablePrefix,
} from './keys.ts'
import type { Operation, Store } from './store.ts'

/** A base that is on its way, or has come. */
export interface Incoming {
  /** Under which its rows lie. */
  readonly generation: number
  readonly tips: readonly BaseTip[]
  /** While a base is received: where it will lie. Its tips move there row by row. Empty when it is whole. */
  readonly target: readonly Pick<BaseTip, 'dot' | 'heard'>[]
  /** How many rows there are: one that is lost leaves no hole. */
  readonly rows: number
  /** Of the rows, for whoever asks whether it is worth drawing it again. */
  readonly bytes: number
}

/** Read records that are kept in memory, and of those of many incarnations the last. */
const KEPT_MAX = 16_384
const KEPT_TIPS_MAX = 64

/**
 * Where a document's base lies, and which of the rows below it count. Rows of any other generation are left over from a
 * drawing that was cut short, or from the last one.
 */
export interface BaseRecord extends Incoming {
  /** Blocks and rows that this base makes superfluous may still be there. */
  readonly dirty: boolean
  /** Another base, received beside all that is here: nothing of it counts before it is whole and takes its place. */
  readonly staged?: Incoming | undefined
}

/**
 * Bases and what is left below them. A new base is drawn beside the old one: first its rows, under a generation of
 * their own, then in one commit the record that makes them count, and only then is what it replaces deleted. So a
 * crash at any point leaves the old base whole, or the new one.
 */
export class BaseStore {
  readonly #store: Store
  /** Every push of new writes asks; they hold as long as no base has been written. */
  readonly #kept = new Map<DocumentId, BaseRecord | undefined>()
  #large: DocumentId | undefined
  #keptAt = 0

  constructor(store: Store) {
    this.#store = store
  }

  /** Throws STORE_DAMAGED. */
  async read(document: DocumentId): Promise<BaseRecord | undefined> {
    const version = this.#store.versionOf(TABLES.base)
    if (version !== this.#keptAt || this.#kept.size >= KEPT_MAX) this.#kept.clear()
    this.#keptAt = version
    if (this.#kept.has(document)) return this.#kept.get(document)
    const record = await this.#readStored(document)
    const isSmall = record === undefined || record.tips.length + record.target.length <= KEPT_TIPS_MAX
    if (this.#keptAt !== version || this.#store.versionOf(TABLES.base) !== version) return record
    if (!isSmall) {
      if (this.#large !== undefined) this.#kept.delete(this.#large)
      this.#large = document
    }
    this.#kept.set(document, record)
    return record
  }

  async #readStored(document: DocumentId): Promise<BaseRecord | undefined> {
    const key = baseKey(document)
    const value = await this.#store.get(key)
    if (value === undefined) return undefined
    const record = decode(value, readRecord)
    if (!record.ok) throw new Failure('STORE_DAMAGED', `Stored bytes cannot be read: ${describeKey(key)}.`)
    return record.value
  }

  /** Documents that are still receiving a base. */
  async receiving(): Promise<Map<DocumentId, BaseRecord>> {
    const prefix = tablePrefix(TABLES.base)
    const found = new Map<DocumentId, BaseRecord>()
    for await (const { key, value } of this.#store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      const record = value && decode(value, readRecord)
      if (record?.ok && isReceiving(record.value)) found.set(documentOfKey(key), record.value)
    }
    return found
  }

  put(document: DocumentId, record: BaseRecord): Operation {
    return { type: 'put', key: baseKey(document), value: encode((w) => writeRecord(w, record)) }
  }

  /** Its rows count no more: whoever receives or draws the next one deletes them. */
  remove(document: DocumentId): Operation {
    return { type: 'delete', key: baseKey(document) }
  }

  putRow(document: DocumentId, generation: number, row: Row): Operation {
    const { header, hash } = blockOf(row)
    const { incarnation, sequence } = header
    return { type: 'put', key: prunedKey(document, generation, { incarnation, sequence, hash }), value: encodeRow(row) }
  }

  /** In chain order within each incarnation. */
  async *rows(document: DocumentId, generation: number): AsyncGenerator<StoredBlock> {
    const from = prunedPrefix(document, generation)
    yield* this.#rows(from, afterPrefix(from))
  }

  /** Of one incarnation from a sequence on. */
  async *run(
    document: DocumentId,
    generation: number,
    incarnation: IncarnationId,
    sequence: number,
  ): AsyncGenerator<StoredBlock> {
    const from = prunedFrom(document, generation, incarnation, sequence)
    const first = prunedFrom(document, generation, incarnation, 0)
    yield* this.#rows(from, afterPrefix(first.subarray(0, -8)))
  }

  /** Keys of rows that do not count, a few at a time. */
  async leftOver(document: DocumentId, generation: number | undefined, max: number): Promise<Uint8Array[]> {
    const prefix = prunedDocument(document)
    const keys: Uint8Array[] = []
    const parts: [Uint8Array, Uint8Array][] =
      generation === undefined
        ? [[prefix, afterPrefix(prefix)]]
        : [
            [prefix, prunedPrefix(document, generation)],
            [prunedPrefix(document, generation + 1), afterPrefix(prefix)],
          ]
    for (const [from, to] of parts) {
      for await (const { key } of this.#store.examine({ from, to })) {
        keys.push(key)
        if (keys.length >= max) return keys
      }
    }
    return keys
  }

  /** Above every generation that has a row. */
  async freshGeneration(document: DocumentId): Promise<number> {
    const prefix = prunedDocument(document)
    const last = { from: prefix, to: afterPrefix(prefix), reverse: true, first: true }
    for await (const { key } of this.#store.examine(last)) return generationOfPrunedKey(key) + 1
    return 1
  }

  async *#rows(from: Uint8Array, to: Uint8Array): AsyncGenerator<StoredBlock> {
    for await (const [key, bytes] of this.#store.read({ from, to })) yield { ...dotOfPrunedKey(key), bytes }
  }
}

const isReceiving = ({ target, staged }: BaseRecord): boolean => target.length > 0 || staged !== undefined

function writeRecord(w: Writer, record: BaseRecord): void {
  writeIncoming(w, record, (record.dirty ? DIRTY : 0) | (record.staged === undefined ? 0 : STAGED))
  if (record.staged !== undefined) writeIncoming(w, record.staged, 0)
}

function readRecord(r: Reader): BaseRecord {
  const { flags, ...incoming } = readIncoming(r)
  const record = { ...incoming, dirty: (flags & DIRTY) !== 0 }
  if ((flags & STAGED) === 0) return record
  const { flags: none, ...staged } = readIncoming(r)
  if (none !== 0) throw new Malformed()
  return { ...record, staged }
}

const DIRTY = 1
const STAGED = 2

function writeIncoming(w: Writer, { generation, tips, target, rows, bytes }: Incoming, flags: number): void {
  writeUint(w, generation)
  writeByte(w, flags)
  writeUint(w, rows)
  writeUint(w, bytes)
  writeList(w, tips, ({ dot, author, time, heard, textEnd }) => {
    writeId(w, dot.incarnation)
    writeUint(w, dot.sequence)
    writeId(w, dot.hash)
    writeId(w, author)
    writeUint(w, time.wallMs)
    writeUint(w, time.counter)
    writeUint(w, textEnd)
    writeClock(w, heard)
  })
  writeList(w, target, ({ dot, heard }) => {
    writeId(w, dot.incarnation)
    writeUint(w, dot.sequence)
    writeId(w, dot.hash)
    writeClock(w, heard)
  })
}

function readIncoming(r: Reader): Incoming & { flags: number } {
  const generation = readUint(r)
  const flags = readByte(r)
  if (flags > (DIRTY | STAGED)) throw new Malformed()
  const rows = readUint(r)
  const bytes = readUint(r)
  const tips = readList(r, BASE_ENDS_MAX, (): BaseTip => {
    const incarnation = readId<IncarnationId>(r, INCARNATION_BYTES)
    const dot = { incarnation, sequence: readUint(r, SEQUENCE_MAX), hash: readId<BlockHash>(r, HASH_BYTES) }
    const author = readId<NodeId>(r, 32)
    const time = { wallMs: readUint(r, WALL_MS_MAX), counter: readUint(r, TIME_COUNTER_MAX) }
    const textEnd = readUint(r, CLOCK_MAX)
    return { dot, author, time, textEnd, heard: readClock(r, VECTOR_ENTRIES_MAX) }
  })
  const target = readList(r, BASE_ENDS_MAX, () => {
    const incarnation = readId<IncarnationId>(r, INCARNATION_BYTES)
    const dot = { incarnation, sequence: readUint(r, SEQUENCE_MAX), hash: readId<BlockHash>(r, HASH_BYTES) }
    return { dot, heard: readClock(r, VECTOR_ENTRIES_MAX) }
  })
  return { generation, flags, tips, target, rows, bytes }
}

import { Failure } from '@sealmesh/protocol/errors'
import type { ChunkId, MailboxId, MeshId, VaultId } from '@sealmesh/protocol/ids'
import type { NumberedPacket } from '@sealmesh/protocol/wire/packets'
import { Level } from 'level'
import { syncDirectory } from '../data/data-directory.ts'
import type { Operation } from '../core/event.ts'
import { type DiskTrouble, openFailure, troubleOf } from './disk-failure.ts'
import { GroupCommit, type Item } from './group-commit.ts'
import {
  COUNTER_KEY,
  chunkIndexKey,
  chunkIndexValue,
  chunkKey,
  claimKey,
  GENERATION_KEY,
  indexKey,
  indexValue,
  loginKey,
  lostKey,
  MESH_BARRED,
  meshKey,
  packetKey,
  revokedKey,
  STORE_FORMAT,
  sequenceOf,
  slotKey,
  snapshotKey,
  snapshotValue,
  uint64,
  VERSION_KEY,
} from './keys.ts'
import { recordToJson } from './login-record.ts'

export type Database = Level<Buffer, Buffer>

export interface StoreEvents {
  onPersisted(receipts: readonly number[]): void
  onFailed(receipts: readonly number[], reason: DiskTrouble): void
  /** The disk stopped taking writes, or takes them again. */
  onTrouble(trouble: DiskTrouble | null, error: unknown): void
  /** One durable group: how many changes, and how long the write and its fsync took. */
  onGroup(operations: number, ms: number): void
}

/** Above what the core asks for at once, keys included. */
const READ_BYTES = 1_048_576
/** How often to look whether a disk that failed takes writes again. */
const MEND_EVERY_MS = 1_000
/** Twice that is in memory while a flood is written down; with LevelDB's own 4 MiB nothing is faster. */
const WRITE_BUFFER_BYTES = 2 * 1_048_576

/** The relay's database. The core's operations go in as groups; what it holds comes out once, at the start. */
export class Store {
  readonly db: Database
  readonly #events: StoreEvents
  readonly #now: () => number
  readonly #commits: GroupCommit<Operation>
  #mending: NodeJS.Timeout | null = null
  /** While the database is closed and opened again. */
  #opening: Promise<void> = Promise.resolve()
  #closed = false

  private constructor(db: Database, events: StoreEvents, now: () => number) {
    this.db = db
    this.#events = events
    this.#now = now
    this.#commits = new GroupCommit<Operation>({
      write: (items, sync) => this.#write(items, sync),
      onPersisted: (receipts) => events.onPersisted(receipts),
      onFailed: (receipts, error) => this.#fail(receipts, error),
      bytesOf,
    })
  }

  /** Fails with HOME_IN_USE, STORE_VERSION, STORE_DAMAGED, DISK_FULL or DISK_FAILED. */
  static async open(
    directory: string,
    events: StoreEvents,
    now: () => number,
    /** Brings an older format to this one; false when it cannot. */
    upgrade: (db: Database, format: string) => Promise<boolean>,
  ): Promise<Store> {
    const options = {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      // Sealed bytes do not compress.
      compression: false,
      writeBufferSize: WRITE_BUFFER_BYTES,
    } as const
    const db: Database = new Level(directory, options)
    try {
      await db.open()
      // LevelDB renames CURRENT last and does not sync the names: a power cut could take a new database's first packets.
      await syncDirectory(directory)
      const format = await db.get(VERSION_KEY)
      if (format === undefined) await db.put(VERSION_KEY, Buffer.from(STORE_FORMAT), { sync: true })
      else if (format.toString() !== STORE_FORMAT && !(await upgrade(db, format.toString())))
        throw new Failure(
          'STORE_VERSION',
          `The data directory has format ${/^\d{1,9}$/.test(format.toString()) ? format.toString() : 'unknown'}; this version reads ${STORE_FORMAT}.`,
        )
      return new Store(db, events, now)
    } catch (error) {
      await db.close().catch(() => undefined)
      throw openFailure(error)
    }
  }

  /** The random name of this database's life, made when it is first opened. */
  async generation(random: (bytes: number) => Uint8Array): Promise<Uint8Array> {
    const known = await this.db.get(GENERATION_KEY)
    if (known !== undefined) return known
    const fresh = Buffer.from(random(16))
    await this.db.put(GENERATION_KEY, fresh, { sync: true })
    return fresh
  }

  persist(operations: readonly Operation[], receipt: number | null): void {
    this.#commits.add(operations, receipt)
  }

  /** The packets of one mailbox between two sequences, both included; damaged ones are missing. */
  async read(mesh: MeshId, mailbox: MailboxId, first: number, last: number): Promise<NumberedPacket[]> {
    return this.#reading(async () => {
      const range = { gte: packetKey(mesh, mailbox, first), lte: packetKey(mesh, mailbox, last) }
      // One trip to the pool of threads: by itself it would come back every 16 KiB.
      const found = await this.db.iterator({ ...range, highWaterMarkBytes: READ_BYTES }).all()
      return found.map(([key, packet]) => ({ sequence: sequenceOf(key), packet }))
    })
  }

  /** A piece of a snapshot; null when it is not there any more. */
  async readChunk(mesh: MeshId, vault: VaultId, chunk: ChunkId): Promise<Uint8Array | null> {
    return this.#reading(async () => (await this.db.get(chunkKey(mesh, vault, chunk))) ?? null)
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      await this.#opening
      try {
        return await read()
      } catch (error) {
        // The database was closed under the read, to be opened again.
        if (this.#closed || attempt === 2) throw error
      }
    }
  }

  /** Everything until now has been handed to the disk, or has failed. */
  settle(): Promise<void> {
    return this.#commits.settle()
  }

  async close(): Promise<void> {
    await this.#commits.settle()
    this.#closed = true
    if (this.#mending !== null) clearTimeout(this.#mending)
    await this.#opening
    await this.db.close()
  }

  async #write(items: readonly Item<Operation>[], sync: boolean): Promise<void> {
    const startMs = this.#now()
    const operations = items.flatMap((item) => item.operations)
    let bytes = 0
    for (const operation of operations) bytes += bytesOf(operation)
    if (bytes > operations.length * CHAINED_BYTES_MEAN_MAX) {
      const rows = new RowList()
      for (const operation of operations) put(rows, operation)
      await this.db.batch(rows.rows, { sync })
    } else {
      const batch = this.db.batch()
      for (const operation of operations) put(batch, operation)
      await batch.write({ sync })
    }
    if (sync) this.#events.onGroup(operations.length, this.#now() - startMs)
  }

  #fail(receipts: readonly number[], error: unknown): void {
    const trouble = troubleOf(error)
    if (receipts.length > 0) this.#events.onFailed(receipts, trouble)
    if (this.#mending !== null || this.#closed) return
    this.#events.onTrouble(trouble, error)
    this.#mendLater()
  }

  #mendLater(): void {
    this.#mending = setTimeout(() => {
      this.#opening = this.#reopen().then(
        () => {
          this.#mending = null
          this.#commits.mend()
          this.#events.onTrouble(null, null)
        },
        () => {
          if (!this.#closed) this.#mendLater()
        },
      )
    }, MEND_EVERY_MS)
  }

  /** A fresh log, and one durable write to show that the disk takes them. */
  async #reopen(): Promise<void> {
    if (this.db.status !== 'closed') await this.db.close()
    await this.db.open()
    await syncDirectory(this.db.location)
    await this.db.put(VERSION_KEY, Buffer.from(STORE_FORMAT), { sync: true })
  }
}

/**
 * Of larger operations a batch is handed over as a list. For small ones a list costs several times as much as a chain;
 * but what a chain copies stays in memory until the collector finds it, and that does not know how large it is.
 */
const CHAINED_BYTES_MEAN_MAX = 8_192

/** What goes into a batch. */
interface Rows {
  put(key: Buffer, value: Buffer): unknown
  del(key: Buffer): unknown
}

class RowList implements Rows {
  readonly rows: ({ type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer })[] = []

  put(key: Buffer, value: Buffer): void {
    this.rows.push({ type: 'put', key, value })
  }

  del(key: Buffer): void {
    this.rows.push({ type: 'del', key })
  }
}

/** Roughly: packets and pieces of snapshots are what is large. */
function bytesOf(operation: Operation): number {
  if (operation.type === 'packet') return operation.packet.length + ROW_BYTES
  return operation.type === 'vaultChunk' ? operation.bytes.length + ROW_BYTES : ROW_BYTES
}

const ROW_BYTES = 128

function put(batch: Rows, operation: Operation): void {
  switch (operation.type) {
    case 'packet': {
      const { mesh, mailbox, sequence, expiresMs, packet } = operation
      batch.put(indexKey(mesh, mailbox, sequence), indexValue(expiresMs, packet.length))
      batch.put(packetKey(mesh, mailbox, sequence), asBuffer(packet))
      return
    }
    case 'dropPacket': {
      const { mesh, mailbox, sequence } = operation
      batch.del(indexKey(mesh, mailbox, sequence))
      batch.del(packetKey(mesh, mailbox, sequence))
      return
    }
    case 'slot': {
      const { mesh, slot, counter, blob } = operation
      batch.put(slotKey(mesh, slot), Buffer.concat([uint64(counter), blob]))
      return
    }
    case 'vaultChunk': {
      const { mesh, vault, chunk, bytes } = operation
      batch.put(chunkIndexKey(mesh, vault, chunk), chunkIndexValue(0, bytes.length))
      batch.put(chunkKey(mesh, vault, chunk), asBuffer(bytes))
      return
    }
    case 'dropVaultChunks': {
      const { mesh, vault, chunks } = operation
      for (const chunk of chunks) {
        batch.del(chunkIndexKey(mesh, vault, chunk))
        batch.del(chunkKey(mesh, vault, chunk))
      }
      return
    }
    case 'vaultSnapshot': {
      const { mesh, vault, snapshot, chunks } = operation
      for (const { chunk, bytes } of chunks)
        batch.put(chunkIndexKey(mesh, vault, chunk), chunkIndexValue(snapshot.number, bytes))
      batch.put(snapshotKey(mesh, vault, snapshot.number), snapshotValue(snapshot))
      return
    }
    case 'dropVaultSnapshot':
      batch.del(snapshotKey(operation.mesh, operation.vault, operation.number))
      return
    case 'login':
      batch.put(loginKey(operation.login), Buffer.from(recordToJson(operation.record)))
      return
    case 'dropLogin':
      batch.del(loginKey(operation.login))
      return
    case 'lost': {
      const { mesh, mailbox, count, atMs } = operation
      if (count === 0) batch.del(lostKey(mesh, mailbox))
      else batch.put(lostKey(mesh, mailbox), Buffer.concat([uint64(count), uint64(atMs)]))
      return
    }
    case 'mesh':
      batch.put(meshKey(operation.mesh), operation.barred ? MESH_BARRED : EMPTY)
      return
    case 'revoked':
      batch.put(revokedKey(operation.mesh, operation.role, operation.key), EMPTY)
      return
    case 'counter':
      batch.put(COUNTER_KEY, uint64(operation.counter))
      return
    case 'claimSpent':
      batch.put(claimKey(operation.claim), EMPTY)
      return
  }
}

const EMPTY = Buffer.alloc(0)

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

import { encode, equalBytes, toHex, writeUint } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { fromChecked, valueOf, withCheck } from './check.ts'
import { type Database, diskFailure, LevelDatabase, type Operation, type Put, type Range } from './database.ts'
import { VERSION_KEY } from './keys.ts'
import { Mirror } from './mirror.ts'
import type { Pin } from './pin.ts'

export type { Operation, Range } from './database.ts'

/** 1: the first. A store of another version is left alone. */
const STORE_VERSION = encode((w) => writeUint(w, 1))
/** One batch: a quarter of LevelDB's write buffer, so that no batch alone fills a table. A larger commit goes alone. */
const BATCH_BYTES_MAX = 1_048_576
/** Opening writes the log's content as a table (at most two 4 MiB buffers) and a manifest. */
const REOPEN_BYTES_MIN = 16 * 1_048_576
/** Entries that cross from LevelDB at a time: one costs a trip to its thread, 16 KiB of them cost the same. */
const ENTRIES_PER_READ = 256

export interface Examined {
  readonly key: Uint8Array
  /** Undefined when it does not match its check. */
  readonly value: Uint8Array | undefined
  /** As stored, with its check. */
  readonly raw: Uint8Array
}

/** Files beside the database that tell what it has lost. */
interface Beside {
  readonly pin?: Pin | undefined
  readonly mirror?: Mirror | undefined
}

/** What is to be written: known now, or made when its batch is put together. */
export type Work = readonly Operation[] | (() => readonly Operation[])

/**
 * The node's one database. A commit is durable when its promise resolves. All commits of one turn of the event loop,
 * and all that come while a batch is in flight, share the next batch and its fsync; there is one flight at a time.
 *
 * There is no outbox table. A block that no receipt covers *is* the outbox (DESIGN.md §10: only receipts empty it),
 * so the one batch that holds a block holds the write, its log entry and its place in the outbox, and no crash can
 * part them.
 *
 * 1. A commit that was acknowledged is read back after any crash.
 * 2. A commit that failed is not there, now or after the store is whole again; only if the process dies before that
 *    is the outcome open, as for every write that was never answered.
 */
export class Store {
  readonly #database: Database
  readonly #pin: Pin | undefined
  readonly #mirror: Mirror | undefined
  #waiting: Commit[] = []
  #replacing: Replacement[] = []
  #scheduled = false
  #flight: Promise<void> | undefined
  #closed = false
  /** Keys of batches that failed; undefined while the log is whole. */
  #suspect: Map<string, Uint8Array> | undefined
  /** What those keys held before, once read. */
  #undo: Operation[] | undefined
  #generation = 0
  /** Of every table, by the first byte of its keys: entries on their way to the disk, and arrived there or not. */
  readonly #touched = new Float64Array(256)
  #batches = 0
  #commits = 0
  #failed = 0

  /** Only `openStore` makes one: the database must be open and of our version. */
  constructor(database: Database, beside: Beside = {}) {
    this.#database = database
    this.#pin = beside.pin
    this.#mirror = beside.mirror
  }

  /** For status and tests: how well commits share batches. */
  get counts(): { batches: number; commits: number; failed: number } {
    return { batches: this.#batches, commits: this.#commits, failed: this.#failed }
  }

  /** Equal before and after a read: what it gave is what lies there until this changes. */
  versionOf(table: number): number {
    return (this.#touched[table] ?? 0) + this.#generation
  }

  /** Grows whenever the database was opened again, and whoever reads on no longer sees the state of one moment. */
  get reopened(): number {
    return this.#generation
  }

  /**
   * Work given as a function is called when its batch is put together, in the order of the calls, so that what
   * arrives during a flight can still join. What it throws rejects this commit alone.
   */
  commit(work: Work): Promise<void> {
    if (this.#closed) return Promise.reject(closedFailure())
    return new Promise((resolve, reject) => {
      this.#waiting.push({ work, resolve, reject, mirrored: [] })
      this.#schedule()
    })
  }

  /** Undefined when absent. Throws STORE_DAMAGED when the bytes are not those that were written. */
  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    await this.#readable()
    const generation = this.#generation
    try {
      const checked = await this.#database.get(key)
      return checked === undefined ? undefined : fromChecked(key, checked)
    } catch (error) {
      if (generation !== this.#generation || !this.#database.isOpen) return this.get(key) // Reopened under our feet.
      throw diskFailure(error, 'reading')
    }
  }

  /** In key order, over the state at the first step (or at the reopening that a failed disk made necessary). */
  async *read(range: Range): AsyncGenerator<[Uint8Array, Uint8Array]> {
    for await (const entries of this.#pages(range))
      for (const [key, checked] of entries) yield [key, fromChecked(key, checked)]
  }

  /**
   * For the scrub: every entry that LevelDB can still find, whole or not. Stops with STORE_DAMAGED after the last one
   * when a part of the files could not be read at all.
   */
  async *examine(range: Range): AsyncGenerator<Examined> {
    let rest = range
    for (let perRead = ENTRIES_PER_READ; ; perRead = 1) {
      try {
        for await (const entries of this.#pages(rest, perRead)) {
          for (const [key, raw] of entries) yield { key, value: valueOf(key, raw), raw }
          rest = afterLast(rest, entries)
        }
        return
      } catch (error) {
        // What could not be read takes the entries along that were read with it: one by one they come out.
        if (perRead === 1 || !(error instanceof Failure) || error.code !== 'STORE_DAMAGED') throw error
      }
    }
  }

  /** As many at a time as one trip brings: a start reads thousands, each too cheap for a turn of its own. */
  async *#pages(range: Range, perRead: number = ENTRIES_PER_READ): AsyncGenerator<[Uint8Array, Uint8Array][]> {
    let rest = range
    for (;;) {
      await this.#readable()
      const generation = this.#generation
      const cursor = this.#database.read(rest)
      try {
        for (;;) {
          const entries = await cursor.next(perRead)
          if (entries.length === 0) return
          yield entries
          rest = afterLast(rest, entries)
        }
      } catch (error) {
        if (error instanceof Failure || (generation === this.#generation && this.#database.isOpen)) {
          throw diskFailure(error, 'reading')
        }
      } finally {
        await cursor.close()
      }
    }
  }

  /**
   * Closes the database, lets `work` change its files, opens it again. What was asked for before is written first;
   * readers and writers wait meanwhile.
   */
  replaceFiles(work: () => Promise<void>): Promise<void> {
    if (this.#closed) return Promise.reject(closedFailure())
    return new Promise((resolve, reject) => {
      this.#replacing.push({ work, resolve, reject })
      this.#schedule()
    })
  }

  /** About how much a range takes on disk. */
  async approximateBytes(range: Range): Promise<number> {
    await this.#readable()
    return this.#database.approximateBytes(range).catch((error: unknown) => {
      throw diskFailure(error, 'reading')
    })
  }

  /** Finishes what was asked for, then closes. Commits afterwards are refused. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    while (this.#scheduled || this.#flight !== undefined || this.#waiting.length > 0 || this.#replacing.length > 0) {
      await (this.#flight ?? new Promise(setImmediate))
    }
    // Invariant (2) as far as the disk lets us; what cannot be written now is like a crash.
    await this.#repair().catch(() => undefined)
    await this.#database.close()
    await this.#pin?.write()
  }

  #schedule(): void {
    if (this.#scheduled || this.#flight !== undefined) return
    this.#scheduled = true
    // Not a microtask: requests that arrived on other sockets in this turn join the batch.
    setImmediate(() => {
      this.#scheduled = false
      this.#flight = this.#fly().finally(() => {
        this.#flight = undefined
        if (this.#waiting.length > 0 || this.#replacing.length > 0) this.#schedule()
      })
    })
  }

  /** Never rejects: every outcome goes to the commits that it concerns. */
  async #fly(): Promise<void> {
    try {
      await this.#repair()
    } catch (error) {
      const failure = diskFailure(error, 'writing')
      this.#failed += this.#waiting.length
      for (const commit of this.#waiting.splice(0)) commit.reject(failure)
      return
    }
    for (const each of this.#replacing.splice(0)) await this.#replace(each)
    const { aboard, operations } = this.#board()
    if (operations.length > 0) {
      if (this.#pin !== undefined) operations.push(checkedPut(this.#pin.countBatch()))
      this.#touch(operations)
      try {
        await this.#database.write(operations)
        this.#batches += 1
        this.#pin?.landed()
        this.#mirror?.landed(aboard.flatMap(({ mirrored }) => mirrored))
      } catch (error) {
        this.#failed += aboard.length
        this.#suspect ??= new Map()
        for (const { key } of operations) this.#suspect.set(toHex(key), key)
        const failure = diskFailure(error, 'writing')
        for (const commit of aboard) commit.reject(failure)
        return
      } finally {
        this.#touch(operations)
      }
    }
    this.#commits += aboard.length
    for (const commit of aboard) commit.resolve()
  }

  #touch(operations: readonly Operation[]): void {
    for (const { key } of operations) this.#touched[key[0] ?? 0]! += 1
  }

  async #replace({ work, resolve, reject }: Replacement): Promise<void> {
    try {
      await this.#database.close()
      this.#generation += 1
      try {
        await work()
      } finally {
        await this.#database.open()
      }
      resolve()
    } catch (error) {
      reject(diskFailure(error, 'replacing the database files'))
    }
  }

  #board(): { aboard: Commit[]; operations: Operation[] } {
    const aboard: Commit[] = []
    const operations: Operation[] = []
    let bytes = 0
    let taken = 0
    for (const commit of this.#waiting) {
      if (bytes >= BATCH_BYTES_MAX) break
      taken += 1
      try {
        for (const operation of typeof commit.work === 'function' ? commit.work() : commit.work) {
          if (this.#mirror !== undefined && Mirror.holds(operation.key)) commit.mirrored.push(operation)
          const checked = operation.type === 'put' ? checkedPut(operation) : operation
          bytes += checked.key.length + (checked.type === 'put' ? checked.value.length : 0)
          operations.push(checked)
        }
        aboard.push(commit)
      } catch (error) {
        commit.reject(error)
      }
    }
    this.#waiting.splice(0, taken)
    return { aboard, operations }
  }

  /**
   * After a failed write LevelDB goes on as if nothing had happened: its log has a hole in the middle of a record,
   * later writes are acknowledged, and the next start drops all of them (seen: six of six). So nothing is written
   * until the database has been reopened, which reads the log up to the hole and starts another. A full disk cannot
   * be reopened, and a closed database cannot be read, so the old handle serves readers until there is room.
   *
   * A batch whose fsync failed may be whole in the log. Its callers were told that it failed, and documents go on
   * without it, so what its keys held before is written back first.
   */
  async #repair(): Promise<void> {
    if (this.#suspect === undefined && this.#database.isOpen) return
    if (this.#suspect !== undefined && this.#undo === undefined) {
      const undo: Operation[] = []
      for (const key of this.#suspect.values()) {
        const value = await this.#database.get(key)
        undo.push(value === undefined ? { type: 'delete', key } : { type: 'put', key, value })
      }
      this.#undo = undo
    }
    if (this.#database.isOpen && (await this.#database.bytesFree()) < REOPEN_BYTES_MIN) {
      throw new Failure('DISK_FULL', 'The disk is full: nothing is written until there is room again.')
    }
    await this.#database.close()
    this.#generation += 1
    await this.#database.open()
    try {
      if (this.#undo !== undefined) await this.#database.write(this.#undo)
    } catch (error) {
      await this.#database.close() // Nobody may read what is about to be taken back.
      throw error
    }
    this.#undo = undefined
    this.#suspect = undefined
  }

  /** A database that could not be reopened is tried again by whoever needs it next, through the one flight. */
  async #readable(): Promise<void> {
    while (!this.#database.isOpen) {
      if (this.#closed && this.#flight === undefined) throw closedFailure()
      if (this.#flight === undefined) await this.commit([])
      else await this.#flight
    }
  }
}

interface Replacement {
  readonly work: () => Promise<void>
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

interface Commit {
  readonly work: Work
  /** Of its operations those that have a second copy. */
  readonly mirrored: Operation[]
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

const checkedPut = (put: Put): Put => ({ ...put, value: withCheck(put.key, put.value) })

/** Throws HOME_IN_USE, STORE_VERSION, STORE_DAMAGED, DISK_FULL or DISK_FAILED. `database` is for tests. */
export async function openStore(
  directory: string,
  database: Database = new LevelDatabase(directory),
  beside: Beside = {},
): Promise<Store> {
  try {
    await database.open()
  } catch (error) {
    throw diskFailure(error, 'opening the database')
  }
  const store = new Store(database, beside)
  try {
    await beside.pin?.attach(store)
    const version = await versionOf(store)
    if (version === undefined) await store.commit([{ type: 'put', key: VERSION_KEY, value: STORE_VERSION }])
    else if (!equalBytes(version, STORE_VERSION)) {
      throw new Failure('STORE_VERSION', 'The database of this home was written by another version of Sealmesh.')
    }
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

/** A version that has changed is like one that is lost: only a whole one can say that the store is not ours. */
async function versionOf(store: Store): Promise<Uint8Array | undefined> {
  const entry = { from: VERSION_KEY, to: keyAfter(VERSION_KEY), first: true }
  for await (const { value } of store.examine(entry)) return value
  return undefined
}

const closedFailure = (): Failure => new Failure('CORE_BUSY', 'The node is stopping.')

/** What is left of a range once these of it have been read. */
function afterLast(range: Range, read: readonly (readonly [Uint8Array, Uint8Array])[]): Range {
  const last = read.at(-1)
  if (last === undefined) return range
  return range.reverse ? { ...range, to: last[0] } : { ...range, from: keyAfter(last[0]) }
}

function keyAfter(key: Uint8Array): Uint8Array {
  const after = new Uint8Array(key.length + 1)
  after.set(key)
  return after
}

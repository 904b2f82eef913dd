/**
 * Everything that one loop turn wants on disk, in one batch with one fsync. While it is written the next group fills,
 * so that load makes large groups and idleness makes none wait.
 */

export interface Item<Operation> {
  readonly operations: readonly Operation[]
  /** Null: worth writing, but nobody waits for it. */
  readonly receipt: number | null
}

export interface GroupCommitDeps<Operation> {
  /** Resolves when the batch is durable, or, unless `sync`, when the database has it. */
  write(items: readonly Item<Operation>[], sync: boolean): Promise<void>
  onPersisted(receipts: readonly number[]): void
  onFailed(receipts: readonly number[], error: unknown): void
  /** What an operation takes in a batch, roughly. */
  bytesOf(operation: Operation): number
}

/**
 * One batch takes no more operations beyond this. It is copied before it is written, in one go and a second time in the
 * database's memory: nobody else's packets should wait for many megabytes of that.
 */
const BATCH_BYTES_TARGET = 262_144
/** Nor beyond this many: each costs a few microseconds, whatever it holds. */
const BATCH_OPERATIONS_TARGET = 512
/** What nobody waits for is written after this long at the latest. */
const LOOSE_WAIT_MS = 100
/** Or when there is so much of it: what somebody waits for, a login first of all, comes after it. */
const LOOSE_ITEMS_MAX = 1_024

export class GroupCommit<Operation> {
  readonly #deps: GroupCommitDeps<Operation>
  #group: Item<Operation>[] = []
  /** How many of the group's first are written without waiting for more: all up to the last that somebody waits for. */
  #due = 0
  #writing: Promise<void> | null = null
  #soon: NodeJS.Immediate | null = null
  #later: NodeJS.Timeout | null = null
  #broken: unknown = null

  constructor(deps: GroupCommitDeps<Operation>) {
    this.#deps = deps
  }

  add(operations: readonly Operation[], receipt: number | null): void {
    this.#group.push({ operations, receipt })
    const isFull = this.#group.length >= LOOSE_ITEMS_MAX && this.#broken === null
    if (receipt !== null || isFull) {
      this.#due = this.#group.length
      // The end of the turn: whatever else it stores shares this fsync.
      this.#soon ??= setImmediate(() => this.#flush())
    } else this.#flushLater()
  }

  /** Everything until now, loose ends included, is written or has failed. */
  async settle(): Promise<void> {
    while (this.#writing !== null || this.#group.length > 0) {
      this.#flush()
      if (this.#writing === null) return
      await this.#writing
    }
  }

  /** After a failure everything that somebody waits for fails at once, and the rest is kept, until this. */
  mend(): void {
    this.#broken = null
    this.#flush()
  }

  #flush(): void {
    if (this.#soon !== null) clearImmediate(this.#soon)
    if (this.#later !== null) clearTimeout(this.#later)
    this.#soon = null
    this.#later = null
    // The next group goes when this one has landed.
    if (this.#writing !== null) return
    if (this.#group.length === 0) return
    if (this.#broken !== null) return this.#fail(this.#group.splice(0), this.#broken)
    const items = this.#take()
    this.#due = Math.max(0, this.#due - items.length)
    this.#writing = this.#write(items, items.some(isWanted))
  }

  #flushLater(): void {
    this.#later ??= setTimeout(() => {
      this.#due = this.#group.length
      this.#flush()
    }, LOOSE_WAIT_MS)
  }

  /** The first of the group, in order, as many as one batch should hold. */
  #take(): readonly Item<Operation>[] {
    let [count, bytes, operations] = [0, 0, 0]
    while (bytes < BATCH_BYTES_TARGET && operations < BATCH_OPERATIONS_TARGET && count < this.#group.length) {
      const item = this.#group[count]?.operations ?? []
      for (const operation of item) bytes += this.#deps.bytesOf(operation)
      operations += item.length
      count += 1
    }
    return this.#group.splice(0, count)
  }

  async #write(items: readonly Item<Operation>[], sync: boolean): Promise<void> {
    try {
      await this.#deps.write(items, sync)
      this.#writing = null
      this.#deps.onPersisted(receiptsOf(items))
    } catch (error) {
      this.#writing = null
      // After a failed write nothing may follow it into the same log: a torn record would hide what comes next.
      this.#broken = error
      this.#fail(items, error)
    }
    if (this.#due > 0) this.#flush()
    else if (this.#group.length > 0) this.#flushLater()
  }

  #fail(items: readonly Item<Operation>[], error: unknown): void {
    const loose = items.filter((item) => item.receipt === null)
    this.#group = [...loose, ...this.#group]
    this.#due = this.#group.length
    const receipts = receiptsOf(items)
    this.#deps.onFailed(receipts, error)
  }
}

const isWanted = (item: Item<unknown>): boolean => item.receipt !== null

const receiptsOf = (items: readonly Item<unknown>[]): number[] =>
  items.flatMap((item) => (item.receipt === null ? [] : [item.receipt]))

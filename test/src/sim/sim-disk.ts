import type { Cursor, Database, Operation, Range } from '@sealmesh/node/store/database'
import type { Process } from './machine.ts'
import type { Timeline } from './timeline.ts'

type Entry = readonly [Uint8Array, Uint8Array]

/** What a disk holds: survives processes, is copied and put back. */
export class DiskImage {
  full = false
  readonly #entries: Map<string, Entry>
  #sorted: string[] | undefined
  /** Batches that were answered and that a power cut takes back, each as what its keys held before. */
  #unsynced: { readonly atMs: number; readonly undo: [string, Entry | undefined][] }[] = []

  constructor(entries: Iterable<[string, Entry]> = []) {
    this.#entries = new Map(entries)
  }

  copy(): DiskImage {
    return new DiskImage(this.#entries)
  }

  get size(): number {
    return this.#entries.size
  }

  get(name: string): Uint8Array | undefined {
    return this.#entries.get(name)?.[1]
  }

  between(from: string, to: string): Entry[] {
    this.#sorted ??= [...this.#entries.keys()].sort()
    const sorted = this.#sorted
    const last = placeIn(sorted, to)
    const found: Entry[] = []
    for (let at = placeIn(sorted, from); at < last; at++) found.push(this.#entries.get(sorted[at]!)!)
    return found
  }

  apply(operations: readonly Operation[]): void {
    for (const operation of operations)
      this.#set(nameOf(operation.key), operation.type === 'put' ? [operation.key, operation.value] : undefined)
  }

  /** As `apply`, but gone with the next power cut until `sync` has come by. */
  applyUnsynced(operations: readonly Operation[], atMs: number): void {
    const undo = operations.map(({ key }): [string, Entry | undefined] => [nameOf(key), this.#entries.get(nameOf(key))])
    this.#unsynced.push({ atMs, undo })
    this.apply(operations)
  }

  /** The system has written out what is older than this. */
  sync(beforeMs: number): void {
    this.#unsynced = this.#unsynced.filter(({ atMs }) => atMs >= beforeMs)
  }

  cutPower(): void {
    for (const { undo } of this.#unsynced.splice(0).reverse())
      for (const [name, entry] of undo.toReversed()) this.#set(name, entry)
  }

  #set(name: string, entry: Entry | undefined): void {
    if (entry === undefined) {
      if (this.#entries.delete(name)) this.#sorted?.splice(placeIn(this.#sorted, name), 1)
      return
    }
    if (!this.#entries.has(name)) this.#sorted?.splice(placeIn(this.#sorted, name), 0, name)
    this.#entries.set(name, entry)
  }
}

export interface DiskDeps {
  readonly time: Timeline
  readonly process: Process
  readonly image: DiskImage
  /** How long one batch takes to be durable. */
  readonly syncMs: () => number
  /** Answers before it is durable, as a disk without fsync does. */
  readonly answersEarly: boolean
}

/** One process's handle of a disk. A batch is on it whole or not at all; at a cut that falls into it, the dice say. */
export class SimDisk implements Database {
  isOpen = false
  readonly #deps: DiskDeps
  /** On its way: what a crash may have written or not. */
  flying: readonly Operation[] | undefined

  constructor(deps: DiskDeps) {
    this.#deps = deps
  }

  async open(): Promise<void> {
    this.isOpen = true
  }

  async close(): Promise<void> {
    this.isOpen = false
  }

  async write(given: readonly Operation[]): Promise<void> {
    const { time, process, image, syncMs, answersEarly } = this.#deps
    if (image.full) throw new Error('IO error: 000003.log: No space left on device')
    const operations = given.map((each) =>
      each.type === 'put' ? { ...each, key: each.key.slice(), value: each.value.slice() } : each,
    )
    if (answersEarly) return image.applyUnsynced(operations, time.nowMs)
    this.flying = operations
    await new Promise<void>((resolve, reject) => {
      time.after(syncMs(), process, () => {
        this.flying = undefined
        if (image.full) return reject(new Error('IO error: 000003.log: No space left on device'))
        image.apply(operations)
        resolve()
      })
    })
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#deps.image.get(nameOf(key))
  }

  read({ from, to, reverse = false, first = false }: Range): Cursor {
    const found = this.#deps.image.between(nameOf(from), nameOf(to))
    if (reverse) found.reverse()
    if (first) found.splice(1)
    return { next: async (count) => found.splice(0, count) as [Uint8Array, Uint8Array][], close: async () => {} }
  }

  async approximateBytes(): Promise<number> {
    return 0
  }

  async bytesFree(): Promise<number> {
    return this.#deps.image.full ? 0 : Number.MAX_SAFE_INTEGER
  }
}

/** One character a byte: sorts as the bytes do. */
const nameOf = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')

function placeIn(sorted: readonly string[], name: string): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! < name) low = middle + 1
    else high = middle
  }
  return low
}

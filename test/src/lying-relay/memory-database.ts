import type { Cursor, Database, Operation, Range } from '@sealmesh/node/store/database'

/** A database that is as good as its process, for runs of which thousands are made. */
export class MemoryDatabase implements Database {
  readonly #entries = new Map<string, [Uint8Array, Uint8Array]>()
  readonly #stir: () => void
  #sorted: string[] | undefined
  isOpen = false

  constructor(stir: () => void) {
    this.#stir = stir
  }

  async open(): Promise<void> {
    this.isOpen = true
  }

  async close(): Promise<void> {
    this.isOpen = false
  }

  async write(operations: readonly Operation[]): Promise<void> {
    this.#stir()
    for (const operation of operations) {
      const name = nameOf(operation.key)
      if (operation.type === 'put') {
        if (!this.#entries.has(name)) this.#sorted = undefined
        this.#entries.set(name, [Uint8Array.from(operation.key), Uint8Array.from(operation.value)])
      } else if (this.#entries.delete(name)) this.#sorted = undefined
    }
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#stir()
    return this.#entries.get(nameOf(key))?.[1]
  }

  read({ from, to, reverse = false, first = false }: Range): Cursor {
    this.#stir()
    this.#sorted ??= [...this.#entries.keys()].sort()
    const [low, high] = [nameOf(from), nameOf(to)]
    const found = this.#sorted.slice(this.#place(low), this.#place(high)).map((name) => this.#entries.get(name)!)
    if (reverse) found.reverse()
    if (first) found.splice(1)
    return { next: async (count) => found.splice(0, count), close: async () => {} }
  }

  async approximateBytes(): Promise<number> {
    return 0
  }

  async bytesFree(): Promise<number> {
    return Number.MAX_SAFE_INTEGER
  }

  #place(name: string): number {
    const sorted = this.#sorted ?? []
    let [low, high] = [0, sorted.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (sorted[middle]! < name) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** One character a byte: sorts as the bytes do. */
const nameOf = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')

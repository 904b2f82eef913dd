/** A queue whose both ends are cheap: an array whose head moves, and which is cut when half of it is gone. */
export class Fifo<T> {
  #items: (T | undefined)[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  get first(): T | undefined {
    return this.#items[this.#head]
  }

  /** Counted from the first. */
  at(index: number): T | undefined {
    return this.#items[this.#head + index]
  }

  push(item: T): void {
    this.#items.push(item)
  }

  shift(): T | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    // Not held until the array is cut: entries carry packets.
    this.#items[this.#head] = undefined
    this.#head += 1
    if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Removes what does not pass and gives it back, in order. */
  keep(passes: (item: T) => boolean): T[] {
    const kept: T[] = []
    const removed: T[] = []
    for (const item of this) (passes(item) ? kept : removed).push(item)
    this.#items = kept
    this.#head = 0
    return removed
  }

  /** The index of the first item for which `reached` holds, where items before it do not and those after it do. */
  search(reached: (item: T) => boolean): number {
    let low = this.#head
    let high = this.#items.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (reached(this.#items[middle] as T)) high = middle
      else low = middle + 1
    }
    return low - this.#head
  }

  *[Symbol.iterator](): Generator<T> {
    for (let i = this.#head; i < this.#items.length; i++) yield this.#items[i] as T
  }
}

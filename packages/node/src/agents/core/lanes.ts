import type { Priority } from '@sealmesh/protocol/messages/message'

/**
 * How often things of a lane are passed over by more urgent ones before one of them is next. Under a flood of critical
 * messages each of the other lanes still moves at about one in eighteen.
 */
export const PASSED_MAX = 16
const LOWEST = 0
const HIGHEST = 3

/** What waits, in one lane for each priority: the most urgent lane first, within a lane in order, and none starves. */
export class Lanes<T> {
  readonly #lanes = [new Queue<T>(), new Queue<T>(), new Queue<T>(), new Queue<T>()] as const
  readonly #passed = [0, 0, 0, 0]

  get size(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.size, 0)
  }

  push(priority: Priority, item: T): void {
    this.#lanes[priority].push(item)
  }

  /** What had been taken comes first again in its lane. `items`: in the order in which they were taken. */
  putBack(priority: Priority, items: readonly T[]): void {
    this.#lanes[priority].putBack(items)
  }

  next(): T | undefined {
    const lane = this.#chosen()
    if (lane === undefined) return undefined
    this.#passed[lane] = 0
    for (let lower = lane - 1; lower >= LOWEST; lower--)
      if (this.#lanes[lower as Priority].size > 0) this.#passed[lower]! += 1
    return this.#lanes[lane].shift()
  }

  /** All that `is` says, taken out. */
  remove(is: (item: T) => boolean): T[] {
    return this.#lanes.flatMap((lane) => lane.remove(is))
  }

  #chosen(): Priority | undefined {
    let first: Priority | undefined
    for (let lane = HIGHEST; lane >= LOWEST; lane--) {
      if (this.#lanes[lane as Priority].size === 0) continue
      if (this.#passed[lane]! >= PASSED_MAX) return lane as Priority
      first ??= lane as Priority
    }
    return first
  }
}

/** First in, first out; taking from the front moves nothing. */
class Queue<T> {
  #items: T[] = []
  #head = 0

  get size(): number {
    return this.#items.length - this.#head
  }

  push(item: T): void {
    this.#items.push(item)
  }

  putBack(items: readonly T[]): void {
    this.#items = [...items, ...this.#items.slice(this.#head)]
    this.#head = 0
  }

  shift(): T | undefined {
    const item = this.#items[this.#head]
    if (this.size === 0) return undefined
    // What was taken must not be held by the place that it had.
    this.#items[this.#head++] = undefined as T
    if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  remove(is: (item: T) => boolean): T[] {
    const gone: T[] = []
    const kept: T[] = []
    for (const item of this.#items.slice(this.#head)) (is(item) ? gone : kept).push(item)
    if (gone.length === 0) return gone
    this.#items = kept
    this.#head = 0
    return gone
  }
}

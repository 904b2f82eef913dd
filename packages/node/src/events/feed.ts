import type { NodeEvent, NodeEventType } from '@sealmesh/protocol/ipc/methods'

/** What a reader that was away for a moment can still be told; more is read anew from documents and status. */
const EVENTS_KEPT_MAX = 8_192
const EVENT_BYTES_KEPT_MAX = 8 * 1_048_576

/**
 * One event, or several of one kind that came together. Before they have cursors; made only when somebody reads them,
 * since most of what happens nobody asks for.
 */
export interface Happened {
  readonly type: NodeEventType
  readonly agent: string | null
  readonly layer: string | null
  /** How many events it stands for. */
  readonly count: number
  /** Roughly what it holds in memory. */
  readonly bytes: number
  /** `index`: from 0, less than `count`. */
  readonly make: (index: number) => Omit<NodeEvent, 'cursor' | 'type' | 'agent' | 'layer'>
}

/** What a reader wants; undefined: everything. */
export interface Wanted {
  readonly types: readonly string[] | undefined
  readonly agent: string | undefined
  readonly layer: string | undefined
}

/**
 * Everything that happens on this node, in order, the latest part of it kept: so that a stream can be held back while
 * its reader is busy, and taken up again where it was left. Readers never hold anything up: who falls behind by more
 * than is kept is told how much it has missed.
 */
export class EventFeed {
  /** Cursors of another run of this node mean nothing to this one. */
  readonly #run: string
  readonly #kept: Happened[] = []
  /** The number of the first event of each. */
  readonly #starts: number[] = []
  #end = 0
  #bytes = 0
  readonly #wake = new Set<() => void>()

  constructor(run: string) {
    this.#run = run
  }

  publish(happened: Happened): void {
    this.#kept.push(happened)
    this.#starts.push(this.#end)
    this.#end += happened.count
    this.#bytes += happened.bytes
    // In one go now and then: taking from the front of a long list each time would cost its length.
    if (this.#end - this.#first > 2 * EVENTS_KEPT_MAX || this.#bytes > 2 * EVENT_BYTES_KEPT_MAX) this.#forget()
    for (const wake of this.#wake) wake()
  }

  /** Of the oldest that is kept. */
  get #first(): number {
    return this.#starts[0] ?? this.#end
  }

  /** After everything so far. */
  get now(): string {
    return this.#cursor(this.#end)
  }

  /** Where a stream takes up: at its cursor, or now. `lost`: null when that cannot be counted. */
  open(after: string | undefined): { at: number; lost: number | null } {
    const end = this.#end
    if (after === undefined) return { at: end, lost: 0 }
    const [run, number] = after.split('.')
    const at = Number(number)
    if (run !== this.#run || !Number.isSafeInteger(at) || at > end) return { at: this.#first, lost: null }
    return { at, lost: 0 }
  }

  /** The next wanted event from `at` on, and where to go on; undefined when there is none yet. */
  next(at: number, wanted: Wanted): { event: NodeEvent | undefined; at: number; lost: number } {
    const from = Math.max(at, this.#first)
    const lost = from - at
    for (let place = this.#placeOf(from); place < this.#kept.length; place++) {
      const happened = this.#kept[place]
      if (happened === undefined || !matches(happened, wanted)) continue
      const start = this.#starts[place] ?? 0
      const number = Math.max(from, start)
      const { type, agent, layer } = happened
      const made = happened.make(number - start)
      return { event: { cursor: this.#cursor(number + 1), type, agent, layer, ...made }, at: number + 1, lost }
    }
    return { event: undefined, at: this.#end, lost }
  }

  /** Of the entry that the event belongs to. */
  #placeOf(number: number): number {
    if (number >= this.#end) return this.#kept.length
    let low = 0
    let high = this.#starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#starts[middle] ?? 0) <= number) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Called after each `publish`; gives back what ends it. */
  onMore(wake: () => void): () => void {
    this.#wake.add(wake)
    return () => this.#wake.delete(wake)
  }

  cursorAt(at: number): string {
    return this.#cursor(at)
  }

  #cursor(at: number): string {
    return `${this.#run}.${at}`
  }

  /** Whole entries, from the front, until what is left is within both bounds. */
  #forget(): void {
    let gone = 0
    while (
      gone < this.#kept.length &&
      (this.#end - (this.#starts[gone] ?? 0) > EVENTS_KEPT_MAX || this.#bytes > EVENT_BYTES_KEPT_MAX)
    )
      this.#bytes -= this.#kept[gone++]?.bytes ?? 0
    this.#kept.splice(0, gone)
    this.#starts.splice(0, gone)
  }
}

function matches({ type, agent, layer }: Happened, wanted: Wanted): boolean {
  if (wanted.types !== undefined && !wanted.types.includes(type)) return false
  if (wanted.agent !== undefined && wanted.agent !== agent) return false
  return wanted.layer === undefined || wanted.layer === layer
}

import type { Letter } from './core/letter.ts'
import { TraceBook, type TraceEvent, type TracedMessage, type TraceHead, tracesOf } from './core/trace-book.ts'

export interface TraceDeps {
  readonly nodeName: () => string
  readonly now: () => number
}

/** What is told of one recipient, or of all. */
export interface TraceMore {
  readonly agent?: string
  /** The other machine that it was sent to. */
  readonly to?: string
  /** Where it happened elsewhere: that machine and the time of its clock. */
  readonly there?: { readonly machine: string; readonly atMs: number }
}

type Listener = (event: TraceEvent, letter: Pick<Letter, 'id' | 'from'>, more: TraceMore) => void

/** In all some hundred thousand lines. What is durable is not driven out by what is not. */
const DURABLE_BYTES_MAX = 8 * 1_048_576
const OTHER_BYTES_MAX = 4 * 1_048_576

/** What happened here to the latest messages, in memory (docs/spec/16-agents.md §3.3). */
export class Trace {
  readonly #deps: TraceDeps
  readonly #durable = new TraceBook(DURABLE_BYTES_MAX)
  readonly #others = new TraceBook(OTHER_BYTES_MAX)
  readonly #listeners = new Set<Listener>()

  constructor(deps: TraceDeps) {
    this.#deps = deps
  }

  open(event: 'sent' | 'received', { durable }: Pick<Letter, 'durable'>, head: TraceHead): void {
    const { nodeName, now } = this.#deps
    this.#book(durable).open({ atMs: now(), event, machine: nodeName() }, head)
  }

  /** Of what is for many and not durable, only that it was sent: a broadcast would else cost more to trace than to deliver. */
  note(event: TraceEvent, letter: Pick<Letter, 'id' | 'from' | 'durable' | 'isForMany'>, more: TraceMore = {}): void {
    if (letter.durable || !letter.isForMany) {
      const { nodeName, now } = this.#deps
      const { agent = null, to = null, there } = more
      const [atMs, machine] = there === undefined ? [now(), nodeName()] : [there.atMs, there.machine]
      this.#book(letter.durable).add({ atMs, event, id: letter.id, machine, agent, to })
    }
    for (const listener of this.#listeners) listener(event, letter, more)
  }

  find(id: string): TracedMessage[] {
    return tracesOf(id, [this.#durable, this.#others])
  }

  onNote(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #book(durable: boolean): TraceBook {
    return durable ? this.#durable : this.#others
  }
}

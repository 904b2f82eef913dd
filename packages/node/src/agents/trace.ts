import type { AgentId } from '@sealmesh/protocol/ids'
import type { Letter } from './core/letter.ts'
import { TraceBook, type TraceEvent, type TracedMessage, tracesOf } from './core/trace-book.ts'

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

type TracedLetter = Pick<Letter, 'id' | 'from' | 'durable' | 'isForMany' | 'isTraced'>

type Listener = (event: TraceEvent, letter: TracedLetter, more: TraceMore) => void

const ENDS: ReadonlySet<TraceEvent> = new Set(['refused', 'expired', 'dropped'])

/** In all some hundred thousand lines. What is durable is not driven out by what is not. */
const DURABLE_BYTES_MAX = 8 * 1_048_576
const OTHER_BYTES_MAX = 4 * 1_048_576
/** Of each sender. To note what becomes of a message costs as much as passing it on, and nobody reads more than these. */
const OTHERS_PER_SECOND = 50

/** What happened here to the latest messages, in memory (docs/spec/16-agents.md §3.3). */
export class Trace {
  readonly #deps: TraceDeps
  readonly #durable = new TraceBook(DURABLE_BYTES_MAX)
  readonly #others = new TraceBook(OTHER_BYTES_MAX)
  readonly #listeners = new Set<Listener>()
  readonly #endListeners = new Set<Listener>()
  /** How many that are not durable were traced in this second, by sender. */
  readonly #ofSecond = new Map<AgentId, number>()
  #second = 0

  constructor(deps: TraceDeps) {
    this.#deps = deps
  }

  /** Asked once for each message: what is durable is always traced, of the rest so many a second of each sender. */
  takes(durable: boolean, sender: AgentId, nowMs: number): boolean {
    if (durable) return true
    const second = Math.floor(nowMs / 1_000)
    if (second !== this.#second) {
      this.#second = second
      this.#ofSecond.clear()
    }
    const before = this.#ofSecond.get(sender) ?? 0
    if (before >= OTHERS_PER_SECOND) return false
    this.#ofSecond.set(sender, before + 1)
    return true
  }

  open(event: 'sent' | 'received', { isTraced, durable, head }: TracedLetter & Pick<Letter, 'head'>): void {
    if (!isTraced) return
    const { nodeName, now } = this.#deps
    this.#book(durable).open({ atMs: now(), event, machine: nodeName() }, head)
  }

  /** Of what is for many and not durable, only that it was sent: a broadcast would else cost more to trace than to deliver. */
  note(event: TraceEvent, letter: TracedLetter, more: TraceMore = {}): void {
    if (letter.isTraced && (letter.durable || !letter.isForMany)) {
      const { nodeName, now } = this.#deps
      const { agent = null, to = null, there } = more
      const [atMs, machine] = there === undefined ? [now(), nodeName()] : [there.atMs, there.machine]
      this.#book(letter.durable).add({ atMs, event, id: letter.id, machine, agent, to })
    }
    for (const listener of this.#listeners) listener(event, letter, more)
    if (ENDS.has(event)) for (const listener of this.#endListeners) listener(event, letter, more)
  }

  /** Whether anybody hears of it: to say whom it is about costs something too. */
  isHeard(event: TraceEvent, { isTraced }: TracedLetter): boolean {
    return isTraced || this.#listeners.size > 0 || ENDS.has(event)
  }

  find(id: string): TracedMessage[] {
    return tracesOf(id, [this.#durable, this.#others])
  }

  onNote(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Only of what nobody will read any more. */
  onEnd(listener: Listener): () => void {
    this.#endListeners.add(listener)
    return () => this.#endListeners.delete(listener)
  }

  #book(durable: boolean): TraceBook {
    return durable ? this.#durable : this.#others
  }
}

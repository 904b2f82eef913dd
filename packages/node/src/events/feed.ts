import type { NodeEvent, NodeEventType } from '@sealmesh/protocol/ipc/methods'

/** What a reader that was away for a moment can still be told; more is read anew from documents and status. */
const EVENTS_KEPT_MAX = 8_192
const EVENT_BYTES_KEPT_MAX = 8 * 1_048_576

/** Before it has a cursor; made only when somebody reads it, since most of what happens nobody asks for. */
export interface Happened {
  readonly type: NodeEventType
  readonly agent: string | null
  readonly layer: string | null
  /** Roughly what it holds in memory. */
  readonly bytes: number
  readonly make: () => Omit<NodeEvent, 'cursor' | 'type' | 'agent' | 'layer'>
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
  #first = 0
  #bytes = 0
  readonly #wake = new Set<() => void>()

  constructor(run: string) {
    this.#run = run
  }

  publish(happened: Happened): void {
    this.#kept.push(happened)
    this.#bytes += happened.bytes
    // In one go now and then: taking from the front of a long list each time would cost its length.
    if (this.#kept.length > 2 * EVENTS_KEPT_MAX || this.#bytes > 2 * EVENT_BYTES_KEPT_MAX) this.#forget()
    for (const wake of this.#wake) wake()
  }

  /** After everything so far. */
  get now(): string {
    return this.#cursor(this.#first + this.#kept.length)
  }

  /** Where a stream takes up: at its cursor, or now. `lost`: null when that cannot be counted. */
  open(after: string | undefined): { at: number; lost: number | null } {
    const end = this.#first + this.#kept.length
    if (after === undefined) return { at: end, lost: 0 }
    const [run, number] = after.split('.')
    const at = Number(number)
    if (run !== this.#run || !Number.isSafeInteger(at) || at > end) return { at: this.#first, lost: null }
    return { at, lost: 0 }
  }

  /** The next wanted event from `at` on, and where to go on; undefined when there is none yet. */
  next(at: number, wanted: Wanted): { event: NodeEvent | undefined; at: number; lost: number } {
    const lost = Math.max(0, this.#first - at)
    for (let place = Math.max(0, at - this.#first); place < this.#kept.length; place++) {
      const happened = this.#kept[place]
      if (happened === undefined || !matches(happened, wanted)) continue
      const { type, agent, layer } = happened
      const after = this.#first + place + 1
      return { event: { cursor: this.#cursor(after), type, agent, layer, ...happened.make() }, at: after, lost }
    }
    return { event: undefined, at: this.#first + this.#kept.length, lost }
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

  #forget(): void {
    let gone = Math.max(0, this.#kept.length - EVENTS_KEPT_MAX)
    let bytes = this.#kept.slice(0, gone).reduce((sum, each) => sum + each.bytes, 0)
    while (this.#bytes - bytes > EVENT_BYTES_KEPT_MAX && gone < this.#kept.length)
      bytes += this.#kept[gone++]?.bytes ?? 0
    this.#kept.splice(0, gone)
    this.#first += gone
    this.#bytes -= bytes
  }
}

function matches({ type, agent, layer }: Happened, wanted: Wanted): boolean {
  if (wanted.types !== undefined && !wanted.types.includes(type)) return false
  if (wanted.agent !== undefined && wanted.agent !== agent) return false
  return wanted.layer === undefined || wanted.layer === layer
}

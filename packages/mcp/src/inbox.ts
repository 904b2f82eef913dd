import type { Delivery } from '@sealmesh/protocol/ipc/agent-methods'
import type { Message } from '@sealmesh/protocol/messages/message'
import type { AgentCalls } from './agent-calls.ts'

/** A person's session reads what came while it thought; what is more than this stays with the node. */
const KEPT_MAX = 1_000
/** To know a message that comes again: at least once means twice sometimes. */
const KNOWN_MAX = 10_000

/**
 * What came for the agent and was not read yet. A message counts as read once it was given to the client in an answer,
 * and the node is told so with the next call: what an assistant that crashed did not see comes again.
 */
export class Inbox {
  readonly #agent: AgentCalls
  readonly #waiting: Delivery[] = []
  readonly #known = new Set<string>()
  readonly #readers = new Set<() => void>()
  readonly #arrived = new Set<() => void>()
  #given = 0
  #acknowledged = 0

  constructor(agent: AgentCalls) {
    this.#agent = agent
    agent.onDelivery((delivery) => this.#take(delivery))
  }

  /** Tells of each arrival; for clients that want to be pushed. */
  onArrival(listener: () => void): () => void {
    this.#arrived.add(listener)
    return () => this.#arrived.delete(listener)
  }

  get length(): number {
    return this.#waiting.length
  }

  /** The most urgent first. Waits for the first that is meant, `waitMs` at most. */
  async take(options: {
    readonly limit: number
    readonly waitMs: number
    readonly isMeant?: (message: Message) => boolean
    readonly signal?: AbortSignal
  }): Promise<Message[]> {
    await this.#acknowledge()
    const endMs = performance.now() + options.waitMs
    for (;;) {
      const found = this.#find(options.limit, options.isMeant)
      const leftMs = endMs - performance.now()
      if (found.length > 0 || leftMs <= 0 || options.signal?.aborted === true) return found
      await this.#next(leftMs, options.signal)
    }
  }

  #take(delivery: Delivery): void {
    const key = `${delivery.message.from} ${delivery.message.id}`
    if (this.#known.has(key) || this.#waiting.length >= KEPT_MAX) return
    this.#known.add(key)
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.values().next().value ?? key)
    this.#waiting.push(delivery)
    for (const wake of [...this.#readers]) wake()
    for (const tell of this.#arrived) tell()
  }

  #find(limit: number, isMeant: (message: Message) => boolean = () => true): Message[] {
    const meant = this.#waiting.filter(({ message }) => isMeant(message))
    const taken = meant.toSorted((a, b) => b.message.priority - a.message.priority).slice(0, limit)
    for (const delivery of taken) this.#waiting.splice(this.#waiting.indexOf(delivery), 1)
    for (const { place } of taken) this.#given = Math.max(this.#given, place)
    return taken.map(({ message }) => message)
  }

  /** Places are acknowledged up to the first that still waits. */
  async #acknowledge(): Promise<void> {
    const first = this.#waiting.reduce((least, { place }) => Math.min(least, place), Number.POSITIVE_INFINITY)
    const place = Math.min(this.#given, first - 1)
    if (place <= this.#acknowledged) return
    this.#acknowledged = place
    await this.#agent.call('inbox.ack', { place })
  }

  #next(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(late)
        this.#readers.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      const late = setTimeout(wake, waitMs)
      this.#readers.add(wake)
      signal?.addEventListener('abort', wake, { once: true })
    })
  }
}

import type { Message } from '@sealmesh/protocol/messages/message'
import type { AgentCalls } from './agent-calls.ts'

/** To know a message that comes again: at least once means twice sometimes. */
const KNOWN_MAX = 10_000

interface Waiting {
  readonly key: string
  readonly message: Message
  /** Tell the node that it need not come again: once for each time that it came. */
  readonly done: (() => void)[]
}

/**
 * What came for the agent and was not read yet: as much as the node hands out before anything is acknowledged. A message
 * counts as read once it was given to the client in an answer, and the node is told so with the next call: what an
 * assistant that crashed did not see comes again.
 */
export class Inbox {
  #waiting: Waiting[] = []
  #given: Waiting[] = []
  readonly #known = new Set<string>()
  readonly #readers = new Set<() => void>()
  readonly #arrived = new Set<() => void>()

  constructor(agent: AgentCalls) {
    agent.onDelivery(({ message }) => this.#keep(message))
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
    this.settle()
    const endMs = performance.now() + options.waitMs
    for (;;) {
      const found = this.#find(options.limit, options.isMeant)
      const leftMs = endMs - performance.now()
      if (found.length > 0 || leftMs <= 0 || options.signal?.aborted === true) return found
      await this.#next(leftMs, options.signal)
    }
  }

  /** What was given has been read: with the next call of any tool, or when the client says goodbye. */
  settle(): void {
    for (const { done } of this.#given) for (const say of done) say()
    this.#given = []
  }

  #keep(message: Message): Promise<void> {
    const key = `${message.from} ${message.id}`
    // A node that was away hands out again what was not read yet.
    const here = [...this.#waiting, ...this.#given].find((each) => each.key === key)
    if (here !== undefined) return new Promise((done) => here.done.push(done))
    if (this.#known.has(key)) return Promise.resolve()
    this.#known.add(key)
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.values().next().value ?? key)
    return new Promise((done) => {
      this.#waiting.push({ key, message, done: [done] })
      for (const wake of [...this.#readers]) wake()
      for (const tell of this.#arrived) tell()
    })
  }

  #find(limit: number, isMeant: (message: Message) => boolean = () => true): Message[] {
    const meant = this.#waiting.filter(({ message }) => isMeant(message))
    const taken = meant.toSorted((a, b) => b.message.priority - a.message.priority).slice(0, limit)
    this.#waiting = this.#waiting.filter((each) => !taken.includes(each))
    this.#given.push(...taken)
    return taken.map(({ message }) => message)
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

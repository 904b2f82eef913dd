import type { Message } from '@sealmesh/protocol/messages/message'
import type { AgentCalls } from './agent-calls.ts'

/** To know a message that comes again: at least once means twice sometimes. */
const KNOWN_MAX = 10_000

/** Whoever has been given a message and asked nothing since for so long has crashed: others may have it. */
const LEASE_MS = 10 * 60_000
/** Who ends so soon after an answer may not have seen it. */
const SEEN_MS = 5_000

interface Waiting {
  readonly key: string
  readonly message: Message
  /** Tell the node that it need not come again: once for each time that it came. */
  readonly done: (() => void)[]
}

interface Given {
  readonly to: Reader
  readonly atMs: number
}

interface Wanted {
  readonly limit: number
  readonly waitMs: number
  readonly isMeant?: (message: Message) => boolean
  /** Whoever asked waits no longer. */
  readonly gone?: AbortSignal
  /** The answer is not sent: what it gave waits again. */
  readonly dropped?: AbortSignal
}

/** One client. What it was given counts as read when it asks for anything else. */
export interface Reader {
  /** The most urgent first. Waits for the first that is meant, `waitMs` at most. */
  take(wanted: Wanted): Promise<Message[]>
  /** It has read what it was given: it asks for something else, or says goodbye. */
  settle(): void
  /** It is gone without a word: an assistant that ends and one that crashes look alike. */
  leave(): void
}

/**
 * What came for the agent and was not read yet: as much as the node hands out before anything is acknowledged. The node is
 * told of what was read; what an assistant that crashed did not see comes again.
 */
export class Inbox {
  #waiting: Waiting[] = []
  readonly #given = new Map<Waiting, Given>()
  readonly #known = new Set<string>()
  readonly #readers = new Set<() => void>()
  readonly #arrived = new Set<() => void>()
  readonly #monotonicMs: () => number

  constructor(agent: Pick<AgentCalls, 'onDelivery'>, monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs
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

  reader(): Reader {
    const reader: Reader = {
      take: (wanted) => this.#take(reader, wanted),
      settle: () => this.#settle(reader, 0),
      leave: () => this.#settle(reader, SEEN_MS),
    }
    return reader
  }

  async #take(reader: Reader, { limit, waitMs, isMeant, gone, dropped }: Wanted): Promise<Message[]> {
    reader.settle()
    const endMs = performance.now() + waitMs
    for (;;) {
      if (gone?.aborted === true) return []
      const found = this.#find(reader, limit, isMeant)
      const leftMs = endMs - performance.now()
      if (found.length > 0) {
        dropped?.addEventListener('abort', () => this.#giveBack(reader, found), { once: true })
        return found.map(({ message }) => message)
      }
      if (leftMs <= 0) return []
      await this.#next(leftMs, gone)
    }
  }

  #settle(reader: Reader, seenMs: number): void {
    const nowMs = this.#monotonicMs()
    for (const [each, { to, atMs }] of this.#given) {
      if (to !== reader || nowMs - atMs < seenMs) continue
      this.#given.delete(each)
      for (const say of each.done) say()
    }
  }

  #giveBack(reader: Reader, taken: readonly Waiting[]): void {
    // What was read since, or went to another one, is not its own any more.
    const back = taken.filter((each) => this.#given.get(each)?.to === reader)
    if (back.length === 0) return
    for (const each of back) this.#given.delete(each)
    this.#waiting = [...back, ...this.#waiting]
    for (const wake of [...this.#readers]) wake()
  }

  #keep(message: Message): Promise<void> {
    const key = `${message.from} ${message.id}`
    // A node that was away hands out again what was not read yet.
    const here = [...this.#waiting, ...this.#given.keys()].find((each) => each.key === key)
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

  #find(reader: Reader, limit: number, isMeant: (message: Message) => boolean = () => true): Waiting[] {
    const atMs = this.#monotonicMs()
    const lapsed = [...this.#given].filter(([, given]) => atMs - given.atMs >= LEASE_MS).map(([each]) => each)
    const taken = [...lapsed, ...this.#waiting]
      .filter(({ message }) => isMeant(message))
      .toSorted((a, b) => b.message.priority - a.message.priority)
      .slice(0, limit)
    this.#waiting = this.#waiting.filter((each) => !taken.includes(each))
    for (const each of taken) this.#given.set(each, { to: reader, atMs })
    return taken
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

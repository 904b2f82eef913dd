import { Lanes } from './lanes.ts'
import { isOver, type Letter } from './letter.ts'

export interface InboxLimits {
  /** Letters that wait or are handed out and not acknowledged. */
  readonly letters: number
  readonly bytes: number
}

/** One letter in one inbox. */
export interface Held {
  readonly letter: Letter
  /** Where it lies on disk; null for one that does not outlive the process. */
  readonly stored: number | null
  /** When it came, by a clock that only goes forward; null where its agent was away then. */
  readonly sinceMs: number | null
}

export interface HandedOut extends Held {
  readonly place: number
  /** How long it waited, as whoever hands it out says; null where nobody knows. */
  handedMs: number | null
}

/** Handed out and not acknowledged: past this nothing more is handed out, so that what is urgent overtakes the rest. */
const OUT_LETTERS_MAX = 256
const OUT_BYTES_MAX = 1_048_576

/**
 * What waits for one agent, and what it has been handed.
 *
 * 1. A place is given when a letter is handed out, so places rise in the order in which the agent sees letters.
 * 2. What is handed out stays until it is acknowledged; `recall` makes it wait again, before what waits already.
 */
export class Inbox {
  readonly #waiting = new Lanes<Held>()
  #out: HandedOut[] = []
  #outBytes = 0
  #bytes = 0
  #nextPlace = 1
  /** Letters that are on their way to the disk: they have their room already. */
  #reserved = { letters: 0, bytes: 0 }

  get waiting(): number {
    return this.#waiting.size
  }
  get letters(): number {
    return this.#waiting.size + this.#out.length
  }
  get bytes(): number {
    return this.#bytes + this.#reserved.bytes
  }

  hasRoom(letter: Letter, limits: InboxLimits): boolean {
    return this.letters + this.#reserved.letters < limits.letters && this.bytes + letter.bytes <= limits.bytes
  }

  reserve(letter: Letter): () => void {
    this.#reserved.letters += 1
    this.#reserved.bytes += letter.bytes
    return () => {
      this.#reserved.letters -= 1
      this.#reserved.bytes -= letter.bytes
    }
  }

  add(held: Held): void {
    this.#bytes += held.letter.bytes
    this.#waiting.push(held.letter.priority, held)
  }

  /** The next to be handed out; what has expired on the way goes to `expired`. */
  next(nowMs: number, expired: Held[]): HandedOut | undefined {
    while (this.#out.length < OUT_LETTERS_MAX && this.#outBytes < OUT_BYTES_MAX) {
      const held = this.#waiting.next()
      if (held === undefined) return undefined
      if (isOver(held.letter, nowMs)) {
        this.#bytes -= held.letter.bytes
        expired.push(held)
        continue
      }
      const { letter, stored, sinceMs } = held
      const out: HandedOut = { letter, stored, sinceMs, place: this.#nextPlace++, handedMs: null }
      this.#out.push(out)
      this.#outBytes += held.letter.bytes
      return out
    }
    return undefined
  }

  /** Everything handed out up to that place is done with. */
  acknowledge(place: number): readonly HandedOut[] {
    const rest = this.#out.findIndex((out) => out.place > place)
    const done = this.#out.splice(0, rest === -1 ? this.#out.length : rest)
    for (const { letter } of done) {
      this.#outBytes -= letter.bytes
      this.#bytes -= letter.bytes
    }
    return done
  }

  /** Whoever had them is gone. */
  recall(): void {
    for (const priority of [0, 1, 2, 3] as const)
      this.#waiting.putBack(
        priority,
        this.#out
          .filter(({ letter }) => letter.priority === priority)
          .map(({ letter, stored }) => ({ letter, stored, sinceMs: null })),
      )
    this.#out = []
    this.#outBytes = 0
  }

  /** Takes out what waits and is wanted by itself, without its turn. */
  pick(isWanted: (letter: Letter) => boolean): Held | undefined {
    let found = false
    const [held] = this.#waiting.remove(({ letter }) => {
      if (found || !isWanted(letter)) return false
      found = true
      return true
    })
    if (held !== undefined) this.#bytes -= held.letter.bytes
    return held
  }

  clear(): readonly Held[] {
    this.recall()
    const gone = this.#waiting.remove(() => true)
    this.#bytes = 0
    return gone
  }

  dropExpired(nowMs: number): readonly Held[] {
    const gone = this.#waiting.remove(({ letter }) => isOver(letter, nowMs))
    for (const { letter } of gone) this.#bytes -= letter.bytes
    return gone
  }
}

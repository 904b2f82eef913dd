import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { Note } from './core/event.ts'

/** So many of one kind are lines of their own; what comes beyond in the same minute is one line with their number. */
const LINES_MAX = 10
const WINDOW_MS = 60_000

type Goodbye = Extract<Note, { event: 'goodbye' }>

interface Kind {
  readonly goodbye: Goodbye
  readonly sinceMs: number
  lines: number
  unlisted: number
}

/**
 * Goodbyes in the log. Strangers from many addresses could have thousands of them said in a second, and fill a disk; of
 * each reason it is told once that there are more. How many there were is in the metrics in any case.
 */
export class GoodbyeLog {
  readonly #say: (fields: object, message: string) => void
  readonly #now: () => number
  /** One for each reason at most, twice: for strangers and for nodes. */
  readonly #kinds = new Map<`${Reason} ${boolean}`, Kind>()

  constructor(say: (fields: object, message: string) => void, now: () => number) {
    this.#say = say
    this.#now = now
  }

  note(goodbye: Goodbye): void {
    const name = `${goodbye.reason} ${goodbye.stranger}` as const
    let kind = this.#kinds.get(name)
    if (kind === undefined) {
      kind = { goodbye, sinceMs: this.#now(), lines: 0, unlisted: 0 }
      this.#kinds.set(name, kind)
    }
    if (kind.lines >= LINES_MAX) {
      kind.unlisted += 1
      return
    }
    kind.lines += 1
    this.#say(goodbye, 'a connection was ended')
  }

  /** Now and then: says how many were left out in minutes that are over. */
  sweep(): void {
    for (const [name, kind] of this.#kinds) {
      if (this.#now() - kind.sinceMs < WINDOW_MS) continue
      this.#kinds.delete(name)
      this.#sum(kind)
    }
  }

  /** All that has not been said. */
  close(): void {
    for (const kind of this.#kinds.values()) this.#sum(kind)
    this.#kinds.clear()
  }

  #sum({ goodbye, unlisted }: Kind): void {
    if (unlisted > 0) this.#say({ ...goodbye, connections: unlisted }, 'more connections were ended for this reason')
  }
}

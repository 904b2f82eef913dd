import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'

/** While others write, of each ten milliseconds one is ours. */
const REST_FOR_WORK = 9

export interface PaceDeps {
  /** Grows with each commit of anybody. */
  readonly commits: () => number
  /** So much is waiting that it matters more than the writers. */
  readonly isUrgent: () => boolean
  readonly signal: AbortSignal
}

/**
 * Work in the background gives way: alone it goes on in the next turn of the loop, beside writers it rests for much
 * longer than it worked. What it would have read and folded in that time waits; a disk has room for that.
 */
export class Pace {
  readonly #deps: PaceDeps
  #commits = 0
  #sinceMs = 0

  constructor(deps: PaceDeps) {
    this.#deps = deps
  }

  /** Before the first stretch of work. */
  begin(): void {
    this.#commits = this.#deps.commits()
    this.#sinceMs = performance.now()
  }

  /** Between two stretches. */
  async turn(): Promise<void> {
    const { commits, isUrgent, signal } = this.#deps
    const workedMs = performance.now() - this.#sinceMs
    await nextTurn()
    if (commits() !== this.#commits && !isUrgent() && !signal.aborted)
      // Whoever stops us meanwhile is obeyed at once.
      await wait(REST_FOR_WORK * workedMs, undefined, { signal, ref: false }).catch(() => undefined)
    this.begin()
  }
}

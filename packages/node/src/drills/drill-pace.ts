import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'

/** A stretch of work: what a writer waits for at most. */
const STRETCH_MS = 3
/** While others write, of each four milliseconds one is the drill's. */
const REST_FOR_WORK = 3

/**
 * Rebuilding gives way to whoever writes: beside them it rests for longer than it worked. What it rested is no part of
 * what a recovery would take, and is not counted as such.
 */
export class DrillPace {
  /** In all, so far. */
  restedMs = 0
  readonly #commits: () => number
  #seen: number
  #sinceMs = performance.now()

  constructor(commits: () => number) {
    this.#commits = commits
    this.#seen = commits()
  }

  /** Between two steps, as often as one likes. */
  async turn(): Promise<void> {
    const workedMs = performance.now() - this.#sinceMs
    if (workedMs < STRETCH_MS) return
    const fromMs = performance.now()
    if (this.#commits() === this.#seen) await nextTurn()
    else await pause(Math.max(1, REST_FOR_WORK * Math.min(workedMs, REST_MAX_MS)))
    this.#seen = this.#commits()
    this.#sinceMs = performance.now()
    this.restedMs += this.#sinceMs - fromMs
  }

  async through<T>(steps: Iterator<void, T>): Promise<T> {
    for (;;) {
      const step = steps.next()
      if (step.done === true) return step.value
      await this.turn()
    }
  }
}

/** What waits for a disk counts as work as well, and is not to be waited for thrice. */
const REST_MAX_MS = 10

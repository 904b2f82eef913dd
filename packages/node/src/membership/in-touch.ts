/**
 * Whether this node has had a live relay for a day without a break that was noticed: one that has just been woken from
 * a drawer itself has heard nobody, and must not call the others silent. Asked every hour or so.
 */
export class InTouch {
  readonly #monotonicMs: () => number
  #sinceMs: number | undefined

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs
  }

  longEnough(live: boolean): boolean {
    if (!live) {
      this.#sinceMs = undefined
      return false
    }
    this.#sinceMs ??= this.#monotonicMs()
    return this.#monotonicMs() - this.#sinceMs >= IN_TOUCH_MS
  }
}

const IN_TOUCH_MS = 24 * 60 * 60_000

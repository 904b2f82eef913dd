/** How fast one sender may go. */
export interface PaceLimits {
  /** Deliveries a second: a message to fifty agents counts fifty times. */
  readonly perSecond: number
  /** So many at once, after a pause. */
  readonly burst: number
}

/** Who is over his rate by less than this is made to wait for his answer; by more, he is refused. */
const HELD_BACK_MS = 1_000

/** A bucket that fills with time. */
export class Pace {
  #left: number
  #atMs: number

  constructor(limits: PaceLimits, nowMs: number) {
    this.#left = limits.burst
    this.#atMs = nowMs
  }

  /** How long to wait before the answer; `tooFast` when it was not counted, with when to try again. */
  spend(cost: number, limits: PaceLimits, nowMs: number): { readonly waitMs: number; readonly tooFast: boolean } {
    const passedMs = Math.max(0, nowMs - this.#atMs)
    this.#atMs = nowMs
    this.#left = Math.min(limits.burst, this.#left + (passedMs * limits.perSecond) / 1_000)
    const missing = cost - this.#left
    const waitMs = Math.max(0, Math.ceil((missing * 1_000) / limits.perSecond))
    // One broadcast may be larger than any burst: it is let through after a pause, and paid for afterwards.
    if (waitMs > HELD_BACK_MS && this.#left < Math.min(cost, limits.burst)) return { waitMs, tooFast: true }
    this.#left -= cost
    return { waitMs: Math.min(waitMs, HELD_BACK_MS), tooFast: false }
  }
}

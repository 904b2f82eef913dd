import { CLOSED_ENTRIES_MAX } from '../limits.ts'

/** As many as a packet can write out: they cost less than to receive them has. */
const BEYOND_FREE = 1_024
const BEYOND_MAX = 2 * CLOSED_ENTRIES_MAX
const WINDOW_MS = 1_000

/**
 * How much of what is not here a peer may name. With a closed set, some 70 bytes stand for up to 65,536 entries, each of
 * which is looked at: for a document that has nothing like it so many may come in a second, and what is beyond that is
 * not heard. A peer that still has all of it to send says so again with its next heads.
 */
export class LongWords {
  #sinceMs = Number.NEGATIVE_INFINITY
  #beyond = 0

  /** `beyond`: by how many entries a vector is longer than the one here. */
  mayHear(beyond: number, nowMs: number): boolean {
    if (beyond <= BEYOND_FREE) return true
    if (nowMs - this.#sinceMs >= WINDOW_MS || nowMs < this.#sinceMs) {
      this.#sinceMs = nowMs
      this.#beyond = 0
    }
    this.#beyond += beyond
    return this.#beyond <= BEYOND_MAX
  }
}

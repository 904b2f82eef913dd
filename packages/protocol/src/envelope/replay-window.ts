import { REPLAY_WINDOW_PACKETS } from '../limits.ts'

/**
 * Which packets of one sender's run were accepted: two paths reorder, so it is a window and not a counter. A gap is a
 * hint to ask, never a verdict.
 */
export class ReplayWindow {
  /** Whether the packet with `sequence % size` was seen; only the last `size` sequences have a place. */
  readonly #seen = new Uint8Array(REPLAY_WINDOW_PACKETS)
  #highest = 0

  /** Whether `accept` would take it. Accept only once what the packet says is durable, or a second copy is lost with it. */
  wouldAccept(sequence: number): boolean {
    if (sequence <= this.#highest - REPLAY_WINDOW_PACKETS || sequence < 1) return false
    return sequence > this.#highest || this.#seen[sequence % REPLAY_WINDOW_PACKETS] !== 1
  }

  accept(sequence: number): 'new' | 'seen' | 'too-old' {
    if (sequence <= this.#highest - REPLAY_WINDOW_PACKETS || sequence < 1) return 'too-old'
    const place = sequence % REPLAY_WINDOW_PACKETS
    if (sequence <= this.#highest) {
      if (this.#seen[place] === 1) return 'seen'
    } else {
      // Places between the old and the new highest belong to sequences that have not come yet.
      const first = Math.max(this.#highest + 1, sequence - REPLAY_WINDOW_PACKETS + 1)
      for (let skipped = first; skipped < sequence; skipped++) this.#seen[skipped % REPLAY_WINDOW_PACKETS] = 0
      this.#highest = sequence
    }
    this.#seen[place] = 1
    return 'new'
  }

  get highest(): number {
    return this.#highest
  }
}

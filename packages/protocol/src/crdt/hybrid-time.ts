import { BLOCK_AHEAD_MS_MAX } from '../limits.ts'

/** A hybrid logical clock's reading: wall milliseconds, and a counter for what happens within or behind them. */
export interface HybridTime {
  readonly wallMs: number
  readonly counter: number
}

/** Far beyond any real date, and exact in a double. */
export const WALL_MS_MAX = 2 ** 48 - 1
export const TIME_COUNTER_MAX = 2 ** 32 - 1

export const compareTimes = (a: HybridTime, b: HybridTime): number => a.wallMs - b.wallMs || a.counter - b.counter

/** The least time after `time`. */
export const timeAfter = ({ wallMs, counter }: HybridTime): HybridTime =>
  counter < TIME_COUNTER_MAX ? { wallMs, counter: counter + 1 } : { wallMs: wallMs + 1, counter: 0 }

/** One writer's clock: never the same reading twice, never behind what it has observed. */
export class HybridClock {
  #last: HybridTime = { wallMs: 0, counter: 0 }

  tick(nowMs: number): HybridTime {
    this.#last = nowMs > this.#last.wallMs ? { wallMs: nowMs, counter: 0 } : timeAfter(this.#last)
    return this.#last
  }

  /**
   * Follows another's reading, but never further ahead of the local clock than a block may be: one machine with a
   * wrong date would otherwise drag everybody's writes into the future, where they are held.
   */
  observe(time: HybridTime, nowMs: number): void {
    if (time.wallMs > nowMs + BLOCK_AHEAD_MS_MAX) return
    if (compareTimes(time, this.#last) > 0) this.#last = time
  }
}

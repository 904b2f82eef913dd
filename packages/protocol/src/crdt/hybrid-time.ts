/** A hybrid logical clock's reading: wall milliseconds, and a counter for what happens within or behind them. */
export interface HybridTime {
  readonly wallMs: number
  readonly counter: number
}

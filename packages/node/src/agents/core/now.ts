/** One look at both clocks, in milliseconds: a wall clock that is set back must not stop what waits. */
export interface Now {
  readonly monotonicMs: number
  readonly wallMs: number
}

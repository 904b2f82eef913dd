/** What a bad network does. Probabilities are for each message of WebSocket; times are milliseconds. */
export interface FaultPlan {
  /** One way. */
  readonly latencyMs: number
  /** At most so much more; what is sent never overtakes for it, as in TCP. */
  readonly jitterMs: number
  /** Each way; 0 for no bound. */
  readonly bytesPerSecond: number
  /** The connection ends in the middle of this message. */
  readonly reset: number
  /** From this message on nothing passes any more, and nobody is told: a cable that was pulled. */
  readonly silence: number
  /** It arrives after the next one, or after a while when there is none. */
  readonly reorder: number
  readonly duplicate: number
}

export const CALM: FaultPlan = {
  latencyMs: 0,
  jitterMs: 0,
  bytesPerSecond: 0,
  reset: 0,
  silence: 0,
  reorder: 0,
  duplicate: 0,
}

/** What becomes of one message, by the dice: at most one fault at a time. */
export type Fate = 'pass' | 'reset' | 'silence' | 'reorder' | 'duplicate'

export function fateOf(plan: FaultPlan, dice: () => number): Fate {
  let rest = dice()
  for (const fate of ['reset', 'silence', 'reorder', 'duplicate'] as const) {
    if (rest < plan[fate]) return fate
    rest -= plan[fate]
  }
  return 'pass'
}

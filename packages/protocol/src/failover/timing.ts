import type { LeaseProfile } from '../membership/record.ts'

/** All in milliseconds; docs/spec/12-failover.md §2. */
export interface LeaseTiming {
  /** How long a lease runs, counted from when its renewal was sent. */
  readonly leaseMs: number
  /** From one renewal to the next. */
  readonly renewMs: number
  /** By how much the holder stops before its lease has run out. */
  readonly guardMs: number
  /** How long an answer is waited for, and how far apart two standbys begin. */
  readonly retryMs: number
}

/** H + 2R <= L - G in each: two renewals in a row may be lost and the third one still comes in time. */
export const LEASE_TIMINGS: Readonly<Record<LeaseProfile, LeaseTiming>> = {
  default: { leaseMs: 15_000, renewMs: 5_000, guardMs: 2_000, retryMs: 4_000 },
  fast: { leaseMs: 6_000, renewMs: 2_000, guardMs: 500, retryMs: 1_500 },
  calm: { leaseMs: 30_000, renewMs: 10_000, guardMs: 5_000, retryMs: 7_000 },
}

/** By how much the rate of any clock may be off. Nothing else is assumed of clocks. */
export const CLOCK_DRIFT = 0.01
/** What clocks that count in steps round away. */
const CLOCK_GRAIN_MS = 200

/** How long the holder counts on it. */
export const holdsForMs = ({ leaseMs, guardMs }: LeaseTiming): number => leaseMs - guardMs

/** How long a register must have stood still before others take what it lists: longer on every clock than on its own. */
export const quietMs = (leaseMs: number): number =>
  Math.ceil((leaseMs * (1 + CLOCK_DRIFT)) / (1 - CLOCK_DRIFT)) + CLOCK_GRAIN_MS

/** Two looks at the clock this far apart, or one that went back: something happened that clocks may not tell. */
export const CLOCK_GAP_MS = 2_000

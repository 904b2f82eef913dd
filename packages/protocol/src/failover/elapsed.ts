import { CLOCK_GAP_MS } from './timing.ts'

/**
 * Two clocks at one moment. The monotonic one stands still while a laptop sleeps, uptime may count in whole seconds
 * and be set: neither alone says how long ago something was.
 */
export interface Moment {
  readonly monotonicMs: number
  readonly uptimeMs: number
}

/**
 * At least as long as it was, whichever of the clocks stood still. Always from the moment itself: two clocks that have
 * drifted apart since the start would hide a sleep from sums, and from differences to a common origin.
 */
export const elapsedMs = (from: Moment, to: Moment): number =>
  Math.max(to.monotonicMs - from.monotonicMs, to.uptimeMs - from.uptimeMs)

/** Whether this process may have stood still between two looks: what it believed before is to be confirmed first. */
export const hasGap = (before: Moment, now: Moment): boolean =>
  elapsedMs(before, now) > CLOCK_GAP_MS || now.uptimeMs < before.uptimeMs || now.monotonicMs < before.monotonicMs

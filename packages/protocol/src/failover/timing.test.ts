import fc from 'fast-check'
import { expect, test } from 'vitest'
import { elapsedMs, hasGap, type Moment } from './elapsed.ts'
import { CLOCK_DRIFT, holdsForMs, LEASE_TIMINGS, quietMs } from './timing.ts'

test('two renewals in a row may be lost in every profile, and the third still comes in time', () => {
  for (const timing of Object.values(LEASE_TIMINGS))
    expect(timing.renewMs + 2 * timing.retryMs).toBeLessThanOrEqual(holdsForMs(timing))
})

test('on the fastest clock others wait longer than the slowest one lets the holder go on', () => {
  for (const timing of Object.values(LEASE_TIMINGS))
    expect(quietMs(timing.leaseMs) * (1 - CLOCK_DRIFT)).toBeGreaterThan(holdsForMs(timing) * (1 + CLOCK_DRIFT))
})

const at = (monotonicMs: number, uptimeMs: number): Moment => ({ monotonicMs, uptimeMs })

test('a sleep that one clock does not count is counted, however far the two have drifted apart before', () => {
  fc.assert(
    fc.property(
      fc.nat(1e9),
      fc.integer({ min: -1e8, max: 1e8 }),
      fc.nat(1e6),
      fc.nat(1e6),
      (start, apart, awake, asleep) => {
        const [before, after] = [at(start + apart, start), at(start + apart + awake, start + awake + asleep)]
        expect(elapsedMs(before, after)).toBe(awake + asleep)
      },
    ),
  )
})

test('a clock that goes back, or a process that stood still, makes what was believed unsure', () => {
  const now = at(10_000, 10_000)
  expect(hasGap(now, at(11_900, 11_900))).toBe(false)
  expect(hasGap(now, at(12_100, 12_100))).toBe(true)
  expect(hasGap(now, at(10_050, 13_000))).toBe(true)
  expect(hasGap(now, at(10_500, 9_900))).toBe(true)
})

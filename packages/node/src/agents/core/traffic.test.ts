import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Durations } from './quantiles.ts'
import { Traffic, TRAFFIC_SECONDS } from './traffic.ts'

test('a quantile is never less than what it stands for, and at most a step more', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.002, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0.5, 0.99, 1),
      (times, share) => {
        const durations = new Durations()
        for (const ms of times) durations.add(ms)
        const exact = times.toSorted((a, b) => a - b)[Math.ceil(share * times.length) - 1] as number
        const said = durations.quantile(share) as number
        expect(said).toBeGreaterThanOrEqual(exact)
        expect(said).toBeLessThanOrEqual(exact * 2 ** (1 / 8) * 1.000001)
      },
    ),
  )
  expect(new Durations().quantile(0.5)).toBe(null)
})

test('the seconds that are over count, whole, and none that is older', () => {
  const traffic = new Traffic()
  traffic.sent('ada', 500)
  expect(traffic.view(900).sentPerSecond).toBe(0)
  expect(traffic.view(1_000).sentPerSecond).toBe(1 / TRAFFIC_SECONDS)
  for (let n = 0; n < 20; n++) traffic.handed('bob', n < 10 ? 1 : null, 2_000)
  traffic.done(50, 2_500)
  expect(traffic.view(3_000)).toMatchObject({ sentPerSecond: 0.1, deliveredPerSecond: 2 })
  expect(traffic.view(3_000).handedMs.p99).toBeCloseTo(1.024, 3)
  expect(traffic.view(3_000).doneMs.p50).toBeGreaterThanOrEqual(50)
  expect(traffic.of('ada', 3_000)).toEqual({ sentPerSecond: 0.1, deliveredPerSecond: 0 })
  expect(traffic.view(11_500)).toMatchObject({ sentPerSecond: 0, deliveredPerSecond: 2 })
  // The same slot, a lap later.
  traffic.sent('ada', 11_000 + 2_000)
  expect(traffic.view(14_000)).toMatchObject({ sentPerSecond: 0.1, deliveredPerSecond: 0, doneMs: { p50: null } })
})

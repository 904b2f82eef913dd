import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pace } from './pace.ts'

test('over any stretch of time no more is let through than the rate, the burst and a second of credit', () => {
  const step = fc.record({ afterMs: fc.nat(400), cost: fc.integer({ min: 1, max: 30 }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const limits = { perSecond: 100, burst: 50 }
      const pace = new Pace(limits, 0)
      let [nowMs, spent] = [0, 0]
      for (const { afterMs, cost } of steps) {
        nowMs += afterMs
        if (!pace.spend(cost, limits, nowMs).tooFast) spent += cost
        expect(spent).toBeLessThanOrEqual(limits.burst + (nowMs * limits.perSecond) / 1_000 + limits.perSecond + 1)
      }
    }),
  )
})

test('who stays below the rate never waits, and who was refused may go on after the time that he was told', () => {
  const limits = { perSecond: 10, burst: 10 }
  const pace = new Pace(limits, 0)
  for (let nowMs = 0; nowMs < 10_000; nowMs += 100) expect(pace.spend(1, limits, nowMs).waitMs).toBe(0)
  const outcomes = Array.from({ length: 100 }, () => pace.spend(1, limits, 10_000))
  const refused = outcomes.find(({ tooFast }) => tooFast) ?? expect.unreachable('nothing was refused')
  expect(refused.waitMs).toBeGreaterThan(1_000)
  expect(pace.spend(1, limits, 10_000 + refused.waitMs)).toEqual({ waitMs: 0, tooFast: false })
})

test('a message to more than any burst is let through when the bucket is full, and paid for afterwards', () => {
  const limits = { perSecond: 10, burst: 10 }
  const pace = new Pace(limits, 0)
  expect(pace.spend(100, limits, 0).tooFast).toBe(false)
  expect(pace.spend(1, limits, 5_000).tooFast).toBe(true)
  expect(pace.spend(1, limits, 9_100).tooFast).toBe(false)
})

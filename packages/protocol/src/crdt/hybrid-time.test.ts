import { expect, test } from 'vitest'
import { BLOCK_AHEAD_MS_MAX } from '../limits.ts'
import { compareTimes, HybridClock, TIME_COUNTER_MAX, timeAfter } from './hybrid-time.ts'

test('no two readings are the same, and none is earlier, though the wall clock stands still or goes back', () => {
  const clock = new HybridClock()
  const readings = [1_000, 1_000, 1_001, 400, 1_001, 1_002].map((nowMs) => clock.tick(nowMs))
  expect(readings).toEqual([
    { wallMs: 1_000, counter: 0 },
    { wallMs: 1_000, counter: 1 },
    { wallMs: 1_001, counter: 0 },
    { wallMs: 1_001, counter: 1 },
    { wallMs: 1_001, counter: 2 },
    { wallMs: 1_002, counter: 0 },
  ])
  for (let at = 1; at < readings.length; at++) expect(compareTimes(readings[at - 1]!, readings[at]!)).toBeLessThan(0)
})

test('a reading lies after all that was observed', () => {
  const clock = new HybridClock()
  clock.observe({ wallMs: 5_000, counter: 7 }, 1_000)
  clock.observe({ wallMs: 4_000, counter: 9 }, 1_000)
  expect(clock.tick(1_000)).toEqual({ wallMs: 5_000, counter: 8 })
})

test('nobody’s clock drags ours further ahead than five minutes, in milliseconds', () => {
  const clock = new HybridClock()
  expect(BLOCK_AHEAD_MS_MAX).toBe(300_000)
  clock.observe({ wallMs: 1_000 + 300_001, counter: 0 }, 1_000)
  expect(clock.tick(1_000)).toEqual({ wallMs: 1_000, counter: 0 })
  clock.observe({ wallMs: 1_000 + 300_000, counter: 0 }, 1_000)
  expect(clock.tick(1_001)).toEqual({ wallMs: 301_000, counter: 1 })
})

test('a counter at its end moves the wall clock on', () => {
  expect(timeAfter({ wallMs: 9, counter: TIME_COUNTER_MAX })).toEqual({ wallMs: 10, counter: 0 })
})

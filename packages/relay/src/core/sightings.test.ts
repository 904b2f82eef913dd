import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hoursUntil, newSightings, sight, sizesOf } from './sightings.ts'

const HOUR_MS = 3_600_000
const START_MS = 1_800_000_000_000

test('every packet counts in its hour for a week, and in no other', () => {
  const walk = fc.array(fc.nat(40), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(walk, (steps) => {
      const seen = newSightings()
      const at: number[] = []
      let nowMs = START_MS
      for (const hours of steps) {
        nowMs += hours * HOUR_MS
        sight(seen, 1_000, nowMs)
        at.push(Math.floor(nowMs / HOUR_MS))
      }
      const last = Math.floor(nowMs / HOUR_MS)
      const expected = Array.from({ length: 168 }, (_, i) => at.filter((hour) => hour === last - 167 + i).length)
      expect(hoursUntil(seen, nowMs)).toEqual(expected)
      expect(seen.packets).toBe(steps.length)
    }),
  )
})

test('after a silence the week that is asked for is the one until now', () => {
  const seen = newSightings()
  sight(seen, 1, START_MS)
  expect(hoursUntil(seen, START_MS + 3 * HOUR_MS).at(-4)).toBe(1)
  expect(hoursUntil(seen, START_MS + 168 * HOUR_MS).every((packets) => packets === 0)).toBe(true)
})

test('sizes fall into classes whose largest is named', () => {
  for (const bytes of [1, 512, 513, 1_024, 1_025, 262_144]) {
    const seen = newSightings()
    sight(seen, bytes, START_MS)
    const [found] = sizesOf(seen).filter(({ packets }) => packets > 0)
    expect(found?.bytesMax).toBe(Math.max(512, 2 ** Math.ceil(Math.log2(bytes))))
  }
})

import { expect, test } from 'vitest'
import { InTouch } from './in-touch.ts'

const HOUR_MS = 3_600_000

test('a node has been in touch for long enough after a day of live relay, and a break starts the day anew', () => {
  let nowMs = 5
  const inTouch = new InTouch(() => nowMs)
  for (let hour = 0; hour < 24; hour++, nowMs += HOUR_MS) expect(inTouch.longEnough(true)).toBe(false)
  expect(inTouch.longEnough(true)).toBe(true)
  expect(inTouch.longEnough(false)).toBe(false)
  expect(inTouch.longEnough(true)).toBe(false)
  nowMs += 23 * HOUR_MS
  expect(inTouch.longEnough(true)).toBe(false)
  nowMs += HOUR_MS
  expect(inTouch.longEnough(true)).toBe(true)
})

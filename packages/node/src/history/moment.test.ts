import { expect, test } from 'vitest'
import { parseDuration, parseMoment } from './moment.ts'

const NOW = new Date(2026, 10, 20, 14, 3, 5, 120).getTime()
const local = (...parts: [number, number, number, number?, number?, number?]) => new Date(...parts).getTime()

test.each([
  ['2026-11-20T13:03:05Z', Date.UTC(2026, 10, 20, 13, 3, 5)],
  ['2026-11-20T13:03:05.250Z', Date.UTC(2026, 10, 20, 13, 3, 5, 250)],
  ['2026-11-20T13:03:05+02:00', Date.UTC(2026, 10, 20, 11, 3, 5)],
  ['2026-11-20 13:03', local(2026, 10, 20, 13, 3)],
  ['2026-11-20', local(2026, 10, 20)],
  ['13:03', local(2026, 10, 20, 13, 3)],
  ['9:03', local(2026, 10, 20, 9, 3)],
  ['10m', NOW - 600_000],
  ['2h30m', NOW - 9_000_000],
  ['3d ago', NOW - 259_200_000],
])('%s', (text, ms) => {
  expect(parseMoment(text, NOW)).toBe(ms)
})

test.each(['', 'yesterday', 'now', '10', '10x', '25:00', '2026-13-40', '2026-11-20T', '1e9s', '-5m', 'm10'])(
  '%j is no moment',
  (text) => {
    expect(parseMoment(text, NOW)).toBeUndefined()
  },
)

test('durations add up', () => {
  expect(['90s', '1h1m1s', '2w'].map(parseDuration)).toEqual([90_000, 3_661_000, 14 * 86_400_000])
})

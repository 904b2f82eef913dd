import { describe, expect, test } from 'vitest'
import { dueAt, durationMs, minutesOf, overdueFrom } from './schedule.ts'

const DAY_MS = 86_400_000
const local = (text: string): number => new Date(text).getTime()
const daily = { everyMs: DAY_MS, atMinutes: minutesOf('03:00') }

describe('a drill is due', () => {
  test('an interval after the last one, and at once if there was none', () => {
    const plan = { everyMs: 5_000, atMinutes: null }
    expect(dueAt(plan, 1_000, true)).toBe(6_000)
    expect(dueAt(plan, 1_000, false)).toBe(1_000)
  })

  test.each([
    ['2026-11-20T03:00:04', true, '2026-11-21T03:00:00'],
    ['2026-11-20T14:00:00', true, '2026-11-21T03:00:00'],
    ['2026-11-20T02:00:00', false, '2026-11-20T03:00:00'],
    ['2026-11-20T04:00:00', false, '2026-11-21T03:00:00'],
  ])('at its time of day: last %s (%s), next %s', (last, hadOne, next) => {
    expect(dueAt(daily, local(last), hadOne)).toBe(local(next))
  })

  test('and told of only after a while', () => {
    expect(overdueFrom({ everyMs: DAY_MS, atMinutes: null }, 0)).toBe(DAY_MS / 4)
    expect(overdueFrom({ everyMs: 1_000, atMinutes: null }, 0)).toBe(30 * 60_000)
  })
})

test('durations are whole numbers with a unit', () => {
  expect(['250ms', '30s', '5m', '6h', '1d'].map(durationMs)).toEqual([250, 30_000, 300_000, 21_600_000, DAY_MS])
  expect(['', '1', 's', '1.5s', '-1s', '1w'].map(durationMs)).toEqual(Array<undefined>(6).fill(undefined))
})

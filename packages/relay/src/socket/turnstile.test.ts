import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Turnstile } from './turnstile.ts'

test('a few pass at once, many over several turns, all of them in order', async () => {
  const turnstile = new Turnstile(2)
  const passed: number[] = []
  for (let i = 0; i < 7; i++) turnstile.pass(() => passed.push(i))
  expect(passed).toEqual([0, 1])
  const seen: number[] = []
  while (passed.length < 7) {
    await turn()
    seen.push(passed.length)
  }
  expect(passed).toEqual([0, 1, 2, 3, 4, 5, 6])
  expect(seen.length).toBeGreaterThanOrEqual(3)
  for (let i = 0; i < 3; i++) await turn()
  turnstile.pass(() => passed.push(7))
  expect(passed.at(-1)).toBe(7)
})

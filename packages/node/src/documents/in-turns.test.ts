import { expect, test } from 'vitest'
import { inTurns } from './in-turns.ts'

function* slow(steps: number): Generator<void, string> {
  for (let step = 0; step < steps; step++) {
    const sinceMs = performance.now()
    while (performance.now() - sinceMs < 11) Math.sqrt(step)
    yield
  }
  return 'done'
}

test('others have their turn between steps that take long, and short ones are not held up', async () => {
  let turns = 0
  let isOver = false
  const others = (): void => {
    turns++
    if (!isOver) setImmediate(others)
  }
  setImmediate(others)
  expect(await inTurns(slow(6))).toBe('done')
  isOver = true
  expect(turns).toBeGreaterThanOrEqual(6)
})

import { expect, test } from 'vitest'
import { DrillPace } from './drill-pace.ts'

const workFor = (ms: number): void => {
  for (const endMs = performance.now() + ms; performance.now() < endMs; );
}

test('beside writers it rests for longer than it works, and says how long', async () => {
  let commits = 0
  const pace = new DrillPace(() => commits++)
  const fromMs = performance.now()
  for (let step = 0; step < 10; step++) {
    workFor(4)
    await pace.turn()
  }
  expect(pace.restedMs).toBeGreaterThan(10 * 3 * 4 * 0.9)
  expect(pace.restedMs).toBeLessThan(performance.now() - fromMs)
})

test('takes all steps, and between short ones nobody waits', async () => {
  const pace = new DrillPace(() => 0)
  function* steps(): Generator<void, string> {
    yield
    yield
    return 'done'
  }
  expect(await pace.through(steps())).toBe('done')
  expect(pace.restedMs).toBeLessThan(1_000)
})

import { expect, test } from 'vitest'
import { Pace } from './pace.ts'

const WORK_MS = 5

function work(): void {
  const endMs = performance.now() + WORK_MS
  while (performance.now() < endMs);
}

async function restAfterWork({ writes = false, urgent = false, stopped = false }): Promise<number> {
  let commits = 0
  const stop = new AbortController()
  const pace = new Pace({ commits: () => commits, isUrgent: () => urgent, signal: stop.signal })
  pace.begin()
  work()
  if (writes) commits += 1
  if (stopped) setTimeout(() => stop.abort(), 1)
  const fromMs = performance.now()
  await pace.turn()
  return performance.now() - fromMs
}

test('beside writers it rests for much longer than it works', async () => {
  expect(await restAfterWork({ writes: true })).toBeGreaterThan(5 * WORK_MS)
})

test('alone, or when it matters more, it goes on', async () => {
  const rest = await restAfterWork({ writes: true })
  expect(await restAfterWork({})).toBeLessThan(rest / 2)
  expect(await restAfterWork({ writes: true, urgent: true })).toBeLessThan(rest / 2)
})

test('whoever stops it does not wait for its rest', async () => {
  const rest = await restAfterWork({ writes: true })
  expect(await restAfterWork({ writes: true, stopped: true })).toBeLessThan(rest / 2)
})

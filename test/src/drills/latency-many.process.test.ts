import { expect, test } from 'vitest'
import { pairsOf } from './latency.ts'

test('writers at the holder are not held up by shadow drills', async () => {
  // `pnpm drill-latency` holds the median to 1.25. Here everything else shares the cores, and what a drill really held
  // up would show in every pair.
  const ratios = (await pairsOf(6, 700)).map(({ withoutMs, duringMs }) => duringMs / withoutMs)
  expect(Math.min(...ratios)).toBeLessThan(2)
})

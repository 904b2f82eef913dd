import { expect, test } from 'vitest'
import { pairsOf, ratioOf } from './latency.ts'

test('writers at the holder are not held up by shadow drills', async () => {
  // `pnpm drill-latency` holds it to 1.25; here two machines and everything else share a few cores.
  expect(ratioOf(await pairsOf(4, 1_000))).toBeLessThan(3)
})

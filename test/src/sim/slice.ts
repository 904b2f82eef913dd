import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { fastCryptoDouble } from './fast-crypto-double.ts'
import { runSeed } from './world.ts'

/** How many seeds all slices have together; `pnpm test:sim` sets it to a thousand. */
const SEEDS = Number(process.env['SEALMESH_SIM_SEEDS'] ?? 40)
const SLICES = 4
const AT_A_TIME = 5
/** A busy machine takes some seconds for each. */
const TIMEOUT_MS = 300_000

/** One of the files between which the seeds are divided, so that every core has its share. */
export function slice(number: 0 | 1 | 2 | 3): void {
  const count = Math.ceil(SEEDS / SLICES)
  const groups = Array.from({ length: Math.ceil(count / AT_A_TIME) }, (_, at) => 1 + number * count + at * AT_A_TIME)
  const last = (number + 1) * count
  test.each(groups)(
    'nothing that was promised is lost, and one node acts at a time, from seed %i on',
    async (first) => {
      const sodium = fastCryptoDouble(await loadSodium())
      for (let seed = first; seed < first + AT_A_TIME && seed <= last; seed++) {
        const { violations } = await runSeed(seed, sodium)
        expect(violations, `pnpm sim --seeds 1 --from ${seed}`).toEqual([])
      }
    },
    TIMEOUT_MS,
  )
}

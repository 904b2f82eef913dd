import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { fastCryptoDouble } from './fast-crypto-double.ts'
import { runSeed } from './world.ts'

/** A slice of `pnpm sim`. */
const SEEDS = Array.from({ length: 20 }, (_, at) => at + 1)
/** With signatures and encryption as they are. */
const REAL_SEEDS = [3, 11]
/** What was once found by one of these: words that outlived a right, a restored reader that nobody asked. */
const FOUND = [24, 27, 29, 119]

test.each([...SEEDS, ...FOUND])('nothing that was promised is lost in the world of seed %i', async (seed) => {
  const { violations, totals } = await runSeed(seed, fastCryptoDouble(await loadSodium()))
  expect(violations).toEqual([])
  expect(totals.replicated).toBeGreaterThan(0)
})

test.each(REAL_SEEDS)('nor with the real cryptography, seed %i', async (seed) => {
  const { violations } = await runSeed(seed, await loadSodium())
  expect(violations).toEqual([])
})

test('a seed goes the same way twice', async () => {
  const sodium = fastCryptoDouble(await loadSodium())
  const first = await runSeed(5, sodium)
  expect(await runSeed(5, sodium)).toEqual(first)
})

import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { fastCryptoDouble } from './fast-crypto-double.ts'
import { runSeed } from './world.ts'

/** With signatures and encryption as they are. */
const REAL_SEEDS = [3, 11]
/** What was once found by one of these: words that outlived a right, a restored reader that nobody asked. */
const FOUND = [24, 27, 29, 119, 2024]
const TWICE = [5, 6]
const TIMEOUT_MS = 120_000

test.each(FOUND)('what seed %i has once found stays found', { timeout: TIMEOUT_MS }, async (seed) => {
  const { violations, totals } = await runSeed(seed, fastCryptoDouble(await loadSodium()))
  expect(violations).toEqual([])
  expect(totals.replicated).toBeGreaterThan(0)
})

test.each(REAL_SEEDS)(
  'nothing is lost with the real cryptography either, seed %i',
  { timeout: TIMEOUT_MS },
  async (seed) => {
    const { violations } = await runSeed(seed, await loadSodium())
    expect(violations).toEqual([])
  },
)

test.each(TWICE)('seed %i goes the same way twice', { timeout: TIMEOUT_MS }, async (seed) => {
  const sodium = fastCryptoDouble(await loadSodium())
  const first = await runSeed(seed, sodium)
  expect(await runSeed(seed, sodium)).toEqual(first)
})

import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { runSeed } from './run.ts'

/** A slice of `pnpm lying-relay`: one seed of each ending, so an honest relay, one with all lies, and eight with a few. */
const SEEDS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
/** An old word between two new ones, a link that took no question, a question that was lost with its link. */
const FOUND = [422, 752, 866, 901]
/** A run over sockets waits for the kernel a thousand times. */
const SOCKET_SEEDS = [12, 18]

test.each([...SEEDS, ...FOUND])(
  'T-relay-9: whatever the relay of seed %i does, nothing forged or old is applied, what it keeps back is found, and all converge after it',
  { timeout: 120_000 },
  async (seed) => {
    const { violations, writes } = await runSeed(seed, await loadSodium())
    expect(violations).toEqual([])
    expect(writes).toBeGreaterThan(0)
  },
)

test.each(SOCKET_SEEDS)(
  'T-relay-9: the same over real sockets, which are cut within frames and carry bombs, by seed %i',
  { timeout: 180_000 },
  async (seed) => {
    const { violations, lies } = await runSeed(seed, await loadSodium(), 'sockets')
    expect(violations).toEqual([])
    expect(lies).toBeGreaterThan(0)
  },
)

import { expect, test } from 'vitest'
import { MUTANTS } from './mutants.ts'
import { simulated } from './slice.ts'

const TIMEOUT_MS = 300_000
const SHOWN = MUTANTS.flatMap(({ name, seeds }) => (seeds === undefined ? [] : [{ name, seeds }]))
const DIRECTED = MUTANTS.flatMap(({ name, seeds, world }) =>
  seeds === undefined || world?.parameters === undefined ? [] : [{ name, seeds }],
)

/** Up to the first of them that fails: what else changes in the product may take one seed's mixture away. */
async function isShown(name: string, seeds: readonly number[]): Promise<boolean> {
  for (const seed of seeds) {
    const said = await simulated('--seeds', '1', '--from', `${seed}`, '--mutant', name)
    if (new RegExp(`^seed ${seed}: `).test(said)) return true
  }
  return false
}

test.each(SHOWN)(
  'without the rule that $name takes away, one of the seeds $seeds fails',
  async ({ name, seeds }) => expect(await isShown(name, seeds)).toBe(true),
  TIMEOUT_MS,
)

test.each(DIRECTED)(
  'with that rule, nothing fails in the world that was made for $name',
  async ({ name, seeds }) => {
    for (const seed of seeds)
      expect(await simulated('--seeds', '1', '--from', `${seed}`, '--world-of', name)).toMatch(/ 0 failed/)
  },
  TIMEOUT_MS,
)

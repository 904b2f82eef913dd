import { expect, test } from 'vitest'
import { runModel } from './lease-model.ts'
import { MUTANTS } from './lease-model-parts.ts'

const SEEDS = 250
/** Seeds that catch each of them; more than one, since a change of the cores shifts the dice. */
const CATCHERS: Record<(typeof MUTANTS)[number], readonly number[]> = {
  'lease-from-response': [127, 546, 760],
  'no-min-age': [3, 6, 14],
  'no-drift-margin': [815],
  'monotonic-only': [13, 49, 61],
  'resume-from-disk': [1, 2, 11],
  'ignores-taken': [8, 14, 35],
  'memory-after-write': [3, 82, 83],
  'act-while-handing': [1, 10, 20],
  'witness-unsynced': [15, 214, 736],
  'believes-restored-witness': [212, 324, 992],
}

test(`over ${SEEDS} seeds no two nodes act in one term, none after a higher one, and one may act in the end`, () => {
  let acts = 0
  let terms = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = runModel(seed)
    expect({ seed, violations: outcome.violations }).toEqual({ seed, violations: [] })
    acts += outcome.acts
    terms += outcome.terms
  }
  expect(acts).toBeGreaterThan(50_000)
  expect(terms).toBeGreaterThan(400)
}, 120_000)

test.each([5364])('seed %i: a taking whose answer was lost outlives a witness that forgets', (seed) => {
  expect(runModel(seed).violations).toEqual([])
})

test.each([5876])('seed %i: what was handed over is not taken back from a witness that forgets', (seed) => {
  expect(runModel(seed).violations).toEqual([])
})

test.each(MUTANTS)('without one rule it goes wrong: %s', (mutant) => {
  expect(CATCHERS[mutant].some((seed) => runModel(seed, mutant).violations.length > 0)).toBe(true)
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Mutant, NODES, SetModel, type Step } from './set-model.ts'

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ type: 'write' } as const) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('receipt' as const),
      node: fc.nat(2),
      // Mostly all that there is, or the set would never be in step.
      lag: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(3)),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('look' as const), afterMs: fc.constantFrom(100, 500, 2_000, 4_500) }),
  },
  { weight: 3, arbitrary: fc.constant({ type: 'signed' } as const) },
  { weight: 3, arbitrary: fc.constant({ type: 'set' } as const) },
  { weight: 3, arbitrary: fc.constant({ type: 'listed' } as const) },
)
const steps = fc.array(step, { minLength: 20, maxLength: 120 })

const holds = (mutant: Mutant = {}) =>
  fc.property(steps, fc.integer({ min: 1, max: 3 }), fc.boolean(), (all, first, isStrict) => {
    const model = new SetModel(isStrict ? 'strict' : 'available', first, mutant)
    let before = model.members
    for (const each of all) {
      model.take(each)
      if (model.losers().length > 0) return false
      const { members } = model
      const changed = [...members, ...before].filter((node) => members.includes(node) !== before.includes(node))
      if (changed.length > 1 || !members.includes(NODES[0]!) || (isStrict && members.length < 2)) return false
      before = members
    }
    return true
  })

describe('whoever could take over at any moment has all that was acknowledged as replicated', () => {
  test('however writes, receipts, looks, records and the register come after one another', () => {
    fc.assert(holds(), { numRuns: 3_000 })
  })
  test('and not if acknowledgements rely on a set before the register lists it', () => {
    expect(fc.check(holds({ swapsAtOnce: true }), { numRuns: 3_000 }).failed).toBe(true)
  })
  test('and not if who joins counts with its record only', () => {
    expect(fc.check(holds({ joinsUncounted: true }), { numRuns: 3_000 }).failed).toBe(true)
  })
})

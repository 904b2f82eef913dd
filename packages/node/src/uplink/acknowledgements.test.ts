import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Acknowledgements } from './acknowledgements.ts'

test('in whatever order packets become safe, nothing is called safe before all that came before it', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(1_000), { maxLength: 40 }), fc.infiniteStream(fc.nat(1_000)), (gaps, dice) => {
      const acknowledgements = new Acknowledgements()
      const sequences = gaps.toSorted((a, b) => a - b).map((gap) => gap + 1)
      const open = sequences.map((sequence) => ({ sequence, done: acknowledgements.delivered(sequence) }))
      while (open.length > 0) {
        const [next] = open.splice((dice.next().value as number) % open.length, 1)
        next?.done()
        const missing = open[0]?.sequence ?? Number.POSITIVE_INFINITY
        expect(acknowledgements.safe).toBeLessThan(missing)
        expect(acknowledgements.safe).toBe(sequences.findLast((sequence) => sequence < missing) ?? 0)
      }
    }),
  )
})

test('acknowledging twice is acknowledging once', () => {
  const acknowledgements = new Acknowledgements()
  const first = acknowledgements.delivered(1)
  acknowledgements.delivered(2)
  first()
  first()
  expect(acknowledgements.safe).toBe(1)
})

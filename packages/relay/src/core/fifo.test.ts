import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Fifo } from './fifo.ts'

test('it behaves as an array does, whatever is pushed, shifted and filtered', () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ type: fc.constant('push' as const), count: fc.integer({ min: 1, max: 900 }) }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ type: fc.constant('shift' as const), count: fc.integer({ min: 1, max: 900 }) }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('keep' as const), count: fc.integer({ min: 2, max: 5 }) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.nat(10_000), (steps, wanted) => {
      const fifo = new Fifo<number>()
      let model: number[] = []
      let next = 0
      for (const { type, count } of steps) {
        if (type === 'push') {
          for (let i = 0; i < count; i++) {
            fifo.push(next)
            model.push(next++)
          }
        } else if (type === 'shift') {
          for (let i = 0; i < count; i++) expect(fifo.shift()).toBe(model.shift())
        } else {
          const passes = (item: number): boolean => item % count !== 0
          expect(fifo.keep(passes)).toEqual(model.filter((item) => !passes(item)))
          model = model.filter(passes)
        }
        expect([fifo.length, fifo.first]).toEqual([model.length, model[0]])
      }
      expect([...fifo]).toEqual(model)
      const reached = (item: number): boolean => item >= wanted
      const place = model.findIndex(reached)
      expect(fifo.search(reached)).toBe(place < 0 ? model.length : place)
      expect(fifo.at(3)).toBe(model[3])
    }),
  )
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Places } from './places.ts'

const byNumber = (a: number, b: number): number => a - b

test('in whatever order packets become durable and go, the stream loses those that went and no others', () => {
  const step = fc.record({ spilled: fc.boolean(), count: fc.nat(4), drops: fc.array(fc.nat(40), { maxLength: 6 }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const places = new Places([])
      const there = new Map<number, number>()
      const stream = new Set<number>()
      let place = 0
      let sequence = 0
      for (const { spilled, count, drops } of steps) {
        // What a reader had in hand comes back with older numbers than what is there.
        const fresh = Array.from({ length: count }, () => ++sequence)
        const late = spilled ? [...fresh.slice(1), ...fresh.slice(0, 1)] : fresh
        for (const each of late) {
          place += 1
          places.add({ sequence: each, place })
          there.set(each, place)
          stream.add(place)
        }
        const dropped = new Set(drops.filter((each) => there.has(each)))
        for (const each of dropped) there.delete(each)
        const { before, singles } = places.drop(dropped)
        for (const each of [...stream]) if (each < before || singles.includes(each)) stream.delete(each)
        expect([...stream].sort(byNumber)).toEqual([...there.values()].sort(byNumber))
        const found = places.between(0, sequence)
        expect(found.map((each) => each.sequence)).toEqual([...there.keys()].sort(byNumber))
        for (const each of found) expect(each.place).toBe(there.get(each.sequence))
      }
    }),
  )
})

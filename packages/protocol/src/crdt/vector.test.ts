import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { decode, encode } from '../bytes.ts'
import type { BlockHash, IncarnationId } from '../ids.ts'
import {
  type Clock,
  compareDots,
  coversDot,
  type Dot,
  isAncestorBySequence,
  joinClocks,
  readClock,
  writeClock,
} from './clock.ts'
import { countMissing, joinTips, sharing } from './vector.ts'

/** Of an incarnation that has not forked a sequence has one hash. */
const dot = (incarnation: number, sequence: number, branch = 'a'): Dot => ({
  incarnation: incarnation.toString(16).padStart(32, '0') as IncarnationId,
  sequence,
  hash: (branch + incarnation.toString(16) + sequence.toString(16)).padStart(64, '0') as BlockHash,
})
const linear = fc
  .uniqueArray(fc.tuple(fc.nat(8), fc.integer({ min: 1, max: 20 })), { selector: ([incarnation]) => incarnation })
  .map((pairs): Clock => pairs.map(([incarnation, sequence]) => dot(incarnation, sequence)).sort(compareDots))

test('a clock is read as it was written, and in no other order', () => {
  fc.assert(
    fc.property(linear, (clock) => {
      const bytes = encode((writer) => writeClock(writer, clock))
      expect(decode(bytes, (reader) => readClock(reader, 64))).toEqual({ ok: true, value: clock })
      const wrong = encode((writer) => writeClock(writer, clock.toReversed()))
      expect(decode(wrong, (reader) => readClock(reader, 64)).ok).toBe(clock.length < 2)
      expect(decode(bytes, (reader) => readClock(reader, clock.length - 1)).ok).toBe(false)
    }),
  )
})

test('T-peer-5: a count that the bytes cannot hold is refused before anything is read', () => {
  expect(decode(Uint8Array.of(255, 127), (reader) => readClock(reader, 16_384)).ok).toBe(false)
})

test('joining covers what either covers and nothing else, in any order and grouping', () => {
  const join = (a: Clock, b: Clock) => joinClocks(a, b, isAncestorBySequence)
  fc.assert(
    fc.property(
      linear,
      linear,
      linear,
      fc.nat(8),
      fc.integer({ min: 1, max: 20 }),
      (a, b, c, incarnation, sequence) => {
        expect(join(a, b)).toEqual(join(b, a))
        expect(join(join(a, b), c)).toEqual(join(a, join(b, c)))
        expect(join(a, a)).toBe(a)
        const covers = (clock: Clock) => coversDot(clock, dot(incarnation, sequence), isAncestorBySequence)
        expect(covers(join(a, b))).toBe(covers(a) || covers(b))
        expect(joinTips(a, b)).toEqual(join(a, b))
      },
    ),
  )
})

test('two branches stay apart, and go when something follows both', () => {
  const tree = new Map([
    ['c13', 'b12'],
    ['b12', 'a11'],
    ['a12', 'a11'],
  ])
  const isAncestor = (a: Dot, b: Dot) => {
    for (let at: string | undefined = b.hash.replace(/^0+/, ''); at !== undefined; at = tree.get(at))
      if (a.hash.endsWith(at)) return true
    return false
  }
  const [base, one, other, tip] = [dot(1, 1), dot(1, 2), dot(1, 2, 'b'), dot(1, 3, 'c')]
  expect(joinClocks([one], [other], isAncestor)).toEqual([one, other].sort(compareDots))
  expect(joinClocks([one, other], [base], isAncestor)).toEqual([one, other])
  expect(joinClocks([one, other], [tip], isAncestor)).toEqual([one, tip].sort(compareDots))
})

test('missing blocks are counted by sequence', () => {
  expect(countMissing([], [dot(1, 3), dot(2, 2)])).toBe(5)
  expect(countMissing([dot(1, 3)], [dot(1, 5), dot(2, 2)])).toBe(4)
  expect(countMissing([dot(1, 9)], [dot(1, 5)])).toBe(0)
  expect(countMissing([dot(1, 5)], [dot(1, 5)])).toBe(0)
})

test('where a fork shows, every tip that we do not have counts, so that zero is certain', () => {
  const [long, short] = [dot(1, 9), dot(1, 4, 'b')]
  expect(countMissing([dot(1, 4)], [short])).toBe(1)
  expect(countMissing([long], [long, short])).toBe(1)
  expect(countMissing([long, short], [long])).toBe(0)
  expect(countMissing([long, short], [long, short])).toBe(0)
  expect(countMissing([long, short], [dot(1, 5, 'b')])).toBe(1)
  expect(countMissing([], [long, short])).toBe(10)
  expect(joinTips([long, short], [dot(1, 5, 'b')])).toHaveLength(3)
  expect(joinTips([dot(1, 4)], [short])).toHaveLength(2)
})

/** Forks among them, and more than a few: two entries of an incarnation that has forked. */
const forkedVector = fc
  .uniqueArray(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 3 }), fc.constantFrom('a', 'b')), {
    selector: ([incarnation, , branch]) => `${incarnation}${branch}`,
    maxLength: 30,
  })
  .map((all): Clock => all.map(([...of]) => dot(...of)).sort(compareDots))

test('objects that two vectors share change nothing but how fast they are compared', () => {
  fc.assert(
    fc.property(forkedVector, forkedVector, (a, b) => {
      const copy = b.map((tip) => ({ ...tip }))
      const shared = sharing(copy, a)
      expect(shared).toEqual(b)
      for (const tip of shared) {
        const known = a.find(({ hash }) => hash === tip.hash)
        if (known?.sequence === tip.sequence) expect(tip).toBe(known)
      }
      expect(countMissing(a, shared)).toBe(countMissing(a, copy))
      expect(countMissing(shared, a)).toBe(countMissing(copy, a))
      expect(joinTips(a, shared)).toEqual(joinTips(a, copy))
      expect(
        joinTips(a, shared)
          .map(({ hash }) => hash)
          .toSorted(),
      ).toEqual(hashesOfEither(a, b))
      expect(
        sharing(
          a.map((tip) => ({ ...tip })),
          a,
        ),
      ).toBe(a)
    }),
    { numRuns: 3_000 },
  )
})

/** What `joinTips` keeps, said in another way. */
function hashesOfEither(a: Clock, b: Clock): string[] {
  const incarnations = [...new Set([...a, ...b].map(({ incarnation }) => incarnation))]
  const kept = incarnations.flatMap((incarnation) => {
    const [ofA, ofB] = [a, b].map((clock) => clock.filter((tip) => tip.incarnation === incarnation))
    const [one, other] = [ofA?.[0], ofB?.[0]]
    if (ofA?.length === 1 && ofB?.length === 1 && one?.sequence !== other?.sequence)
      return [one!.sequence > other!.sequence ? one! : other!]
    return [...ofA!, ...ofB!]
  })
  return [...new Set(kept.map(({ hash }) => hash))].toSorted()
}

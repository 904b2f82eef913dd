import { closeCausally, type Reach } from '@sealmesh/protocol/crdt/base'
import { type Clock, compareDots, type Dot, entriesOf } from '@sealmesh/protocol/crdt/clock'
import { entryUnder } from '@sealmesh/protocol/crdt/floor'
import type { BlockHash, IncarnationId } from '@sealmesh/protocol/ids'
import { CLOSED_LINK_ENTRIES_MAX } from '@sealmesh/protocol/limits'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { id, incarnationId } from './scene.ts'

const dot = (incarnation: number, sequence: number): Dot => ({
  incarnation: incarnationId(incarnation),
  sequence,
  hash: id<BlockHash>('b', sequence),
})

/** The definition, gone over until nothing changes any more. */
function inRounds(reaches: readonly Reach[]): Map<IncarnationId, number> {
  const ends = new Map(reaches.map(({ incarnation, sequence }) => [incarnation, sequence]))
  const isBeyond = ({ incarnation, sequence }: Dot) => {
    const end = ends.get(incarnation) ?? 0
    const aside = reaches.find((each) => each.incarnation === incarnation)?.aside
    return sequence > end && !(aside !== undefined && end >= aside.after && sequence <= aside.upTo)
  }
  for (let changed = true; changed; ) {
    changed = false
    for (const { incarnation, heard } of reaches) {
      for (const { sequence, received, floor } of heard) {
        if (sequence > ends.get(incarnation)!) break
        const under = (floor?.parts.flat() ?? []).filter(
          (each) =>
            entryUnder(floor!, each.incarnation) !== undefined && entriesOf(received, each.incarnation).length === 0,
        )
        if (![...received, ...under].some(isBeyond)) continue
        ends.set(incarnation, sequence - 1)
        changed = true
        break
      }
    }
  }
  return ends
}

const PEOPLE = 8
const clocks = fc
  .uniqueArray(fc.tuple(fc.nat(PEOPLE), fc.integer({ min: 1, max: 5 })), { selector: ([who]) => who, maxLength: 4 })
  .map((all) => all.map(([who, sequence]) => dot(who, sequence)).sort(compareDots))

/** Links that name nobody twice, so that any of them are a set. */
const links = fc.array(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 3, maxLength: 3 }), {
  minLength: 3,
  maxLength: 3,
})

const asides = fc.tuple(fc.nat(5), fc.nat(5)).map(([a, b]) => ({ after: Math.min(a, b), upTo: Math.max(a, b) }))

const scenes = links.chain((sequences) => {
  const all: Clock[] = sequences.map((of, at) => of.map((sequence, who) => dot(at * 3 + who, sequence)))
  const floor = fc.record({
    parts: fc.subarray(all, { minLength: 1 }),
    upTo: fc.option(fc.nat(PEOPLE).map(incarnationId)),
  })
  const heard = fc.record({ received: clocks, floor: fc.option(floor, { nil: undefined }) })
  return fc.tuple(
    ...Array.from({ length: PEOPLE }, (_, who) =>
      fc.record({ sequence: fc.nat(5), heard: fc.array(heard, { maxLength: 4 }), aside: fc.option(asides) }).map(
        ({ sequence, heard: said, aside }): Reach => ({
          incarnation: incarnationId(who),
          sequence,
          aside: aside ?? undefined,
          heard: said.map(({ received, floor: under }, at) => ({
            sequence: at + 1,
            received,
            ...(under === undefined ? {} : { floor: under }),
          })),
        }),
      ),
    ),
  )
})

test('what is closed is the same as when it is gone over until nothing changes', () => {
  fc.assert(
    fc.property(scenes, (reaches) => {
      expect(closeCausally(reaches)).toEqual(inRounds(reaches))
    }),
    { numRuns: 5_000 },
  )
})

const LINKS = 16
const SETS = 400
const CHAIN = 600

/** One run lowers the next, all the way down a chain; `named` of the sets have a block each that stands on it. */
function manySets(named: number): Reach[] {
  const entries = Array.from({ length: LINKS * CLOSED_LINK_ENTRIES_MAX }, (_, at) => dot(at, 1))
  const full = Array.from({ length: LINKS }, (_, at) =>
    entries.slice(at * CLOSED_LINK_ENTRIES_MAX, (at + 1) * CLOSED_LINK_ENTRIES_MAX),
  )
  const [chained, over] = [50_000, 60_000]
  return [
    ...entries.map(({ incarnation }) => ({ incarnation, sequence: 1, heard: [] })),
    ...Array.from({ length: CHAIN }, (_, at) => ({
      incarnation: incarnationId(chained + at),
      sequence: 1,
      heard: [{ sequence: 1, received: [at + 1 < CHAIN ? dot(chained + at + 1, 1) : dot(0, 9)] }],
    })),
    ...Array.from({ length: SETS }, (_, at) => ({
      incarnation: incarnationId(over + at),
      sequence: 1,
      // A last link of its own over the full ones that all have.
      heard: [
        {
          sequence: 1,
          received: [],
          ...(at < named ? { floor: { parts: [...full, [dot(at, 1)]], upTo: null } } : {}),
        },
      ],
    })),
  ]
}

test('many sets with one beginning, and a long chain of runs that lower one another, cost little more than one set', () => {
  const cost = (reaches: readonly Reach[]): number => {
    const from = process.cpuUsage()
    const ends = closeCausally(reaches)
    const { user, system } = process.cpuUsage(from)
    expect(ends.get(incarnationId(50_000))).toBe(0)
    return user + system
  }
  const [one, all] = [manySets(1), manySets(SETS)]
  cost(one) // Compiled.
  const usual = Math.min(cost(one), cost(one))
  expect(Math.min(cost(all), cost(all)) / usual).toBeLessThan(10)
})

test('any number of blocks may stand on one link and write an entry of it out', () => {
  const BLOCKS = 200_000
  const [beyond, other] = [dot(1, 9), dot(2, 9)]
  const floor = { parts: [[dot(1, 8), dot(2, 8)]], upTo: null }
  const heard = [{ sequence: 1, received: [dot(1, 1)], floor }]
  const reaches: Reach[] = Array.from({ length: BLOCKS }, (_, at) => ({
    incarnation: incarnationId(100 + at),
    sequence: 1,
    // The last does not, and falls alone for what lies above the base.
    heard: at < BLOCKS - 1 ? heard : [{ sequence: 1, received: [], floor }],
  }))
  const ends = [beyond, other].map(({ incarnation }) => ({
    incarnation,
    sequence: incarnation === beyond.incarnation ? 7 : 8,
    heard: [],
  }))
  const closed = closeCausally([...ends, ...reaches])
  expect(closed.get(incarnationId(100))).toBe(1)
  expect(closed.get(incarnationId(100 + BLOCKS - 1))).toBe(0)
})

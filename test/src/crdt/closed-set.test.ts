import {
  closedEnds,
  type ClosedLink,
  decodeLink,
  entriesOfChain,
  extendChain,
  isParentOf,
  makeLink,
  SILENT_AUTHOR_MS,
  soundLinks,
  worthOf,
} from '@sealmesh/protocol/crdt/closed-set'
import { heardBeyond } from '@sealmesh/protocol/crdt/base'
import { decode, encode } from '@sealmesh/protocol/bytes'
import {
  compareDots,
  coversDot,
  type Dot,
  isAncestorBySequence,
  type VersionVector,
} from '@sealmesh/protocol/crdt/clock'
import {
  atMost,
  entriesUnder,
  expandFloored,
  type FloorPart,
  type Floors,
  NO_FLOORS,
  overFloor,
  readFloor,
  writeFloor,
} from '@sealmesh/protocol/crdt/floor'
import { Heard } from '@sealmesh/protocol/crdt/heard'
import { joinUnsettled, Unsettled } from '@sealmesh/protocol/crdt/unsettled'
import { joinClocks } from '@sealmesh/protocol/crdt/clock'
import type { BlockHash, ClosedDigest, DocumentId } from '@sealmesh/protocol/ids'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { id, incarnationId, sodium } from './scene.ts'

const DOCUMENT = id<DocumentId>('d0', 1)
const dot = (incarnation: number, sequence: number, branch = 0): Dot => ({
  incarnation: incarnationId(incarnation),
  sequence,
  hash: id<BlockHash>('b0', incarnation * 1_000 + sequence * 10 + branch),
})
const sorted = (dots: readonly Dot[]): Dot[] => dots.toSorted(compareDots)

/** Few incarnations and sequences, so that a vector and a set often speak of the same. Some have forked. */
const vectors = fc
  .uniqueArray(fc.record({ incarnation: fc.nat(12), sequence: fc.integer({ min: 1, max: 4 }), branch: fc.nat(1) }), {
    selector: ({ incarnation, branch }) => incarnation * 2 + branch,
  })
  .map((all) => sorted(all.map(({ incarnation, sequence, branch }) => dot(incarnation, sequence, branch))))
const sets = fc
  .uniqueArray(fc.record({ incarnation: fc.nat(12), sequence: fc.integer({ min: 1, max: 4 }) }), {
    selector: ({ incarnation }) => incarnation,
  })
  .map((all) => sorted(all.map(({ incarnation, sequence }) => dot(incarnation, sequence))))

const DIGEST = id<ClosedDigest>('f1', 1)
const floorsOf = (set: VersionVector): Floors => ({
  current: DIGEST,
  entries: (digest) => (digest === DIGEST ? set : undefined),
  parts: (digest) => (digest === DIGEST ? [set] : undefined),
})

test('a vector comes out of any floor as it went in', () => {
  let stood = 0
  fc.assert(
    fc.property(vectors, sets, (vector, set) => {
      const floors = floorsOf(set)
      const floored = overFloor(vector, floors)
      if (floored.floor !== null) stood += 1
      expect(expandFloored(floored, floors)).toEqual(vector)
      const written = encode((w) => writeFloor(w, floored.floor))
      expect(decode(written, readFloor)).toEqual({ ok: true, value: floored.floor })
    }),
    { numRuns: 3_000 },
  )
  expect(stood).toBeGreaterThan(100)
})

test('a vector that covers its set writes out the rest alone', () => {
  const set = [dot(1, 3), dot(2, 1), dot(3, 2)]
  const vector = [dot(1, 3), dot(2, 5), dot(3, 2), dot(4, 1)]
  const { floor, rest } = overFloor(vector, floorsOf(set))
  expect(floor).toEqual({ digest: DIGEST, upTo: null })
  expect(rest).toEqual([dot(2, 5), dot(4, 1)])
})

test('a vector that lacks a part of the set stands on its beginning', () => {
  const set = [dot(1, 3), dot(2, 1), dot(3, 2), dot(5, 1)]
  const vector = [dot(1, 3), dot(2, 1), dot(4, 1), dot(5, 1)]
  const floored = overFloor(vector, floorsOf(set))
  expect(floored).toEqual({ floor: { digest: DIGEST, upTo: incarnationId(2) }, rest: [dot(4, 1), dot(5, 1)] })
})

test('what is left out to fit a packet never claims more than is true', () => {
  fc.assert(
    fc.property(vectors, sets, fc.nat(4), (vector, set, max) => {
      const floors = floorsOf(set)
      const short = atMost(overFloor(vector, floors), vector, floors, max)
      expect(short.rest.length).toBeLessThanOrEqual(max)
      for (const entry of expandFloored(short, floors)!) expect(vector).toContainEqual(entry)
    }),
    { numRuns: 3_000 },
  )
})

test('an unknown floor says nothing', () => {
  const none = NO_FLOORS
  expect(expandFloored({ floor: { digest: DIGEST, upTo: null }, rest: [] }, none)).toBeUndefined()
  expect(entriesUnder({ digest: DIGEST, upTo: incarnationId(1) }, none)).toBeUndefined()
})

/** In two links. */
const partsOf = (entries: VersionVector) => [
  entries.filter((_, at) => at % 2 > 0),
  entries.filter((_, at) => at % 2 === 0),
]
const parts = fc
  .tuple(sets, fc.option(fc.nat(12).map(incarnationId)))
  .map(([entries, upTo]) => ({ parts: partsOf(entries), upTo }))
const writtenOut = ({ parts: links, upTo }: FloorPart, rest: VersionVector): VersionVector => {
  const entries = links.flat()
  const isNamed = (each: Dot) => rest.some(({ incarnation }) => incarnation === each.incarnation)
  return sorted([...rest, ...entries.filter((each) => (upTo === null || each.incarnation <= upTo) && !isNamed(each))])
}

test('what was heard over a floor covers what the written-out clocks would', () => {
  fc.assert(
    fc.property(parts, sets, fc.array(sets, { maxLength: 3 }), vectors, (floor, first, later, asked) => {
      const everything = (of: Heard) =>
        of.only(
          () => true,
          (entries) => entries,
        )
      const heard = new Heard(first, floor)
      let all = writtenOut(floor, first)
      for (const said of later) {
        heard.hear(said, (each) => each, isAncestorBySequence)
        all = joinClocks(all, said, isAncestorBySequence)
      }
      for (const each of asked)
        expect(heard.covers(each, isAncestorBySequence)).toBe(coversDot(all, each, isAncestorBySequence))
      expect(everything(heard)).toEqual(all)
      expect(everything(heard.copy())).toEqual(all)
      const isBelow = ({ incarnation, sequence }: Dot) => incarnation.endsWith('1') || sequence < 3
      const tells = (of: Dot) =>
        !isBelow(of) || asked.some((each) => each.incarnation === of.incarnation && each.sequence <= of.sequence)
      const beyond = heardBeyond(isBelow, asked)
      expect([beyond(heard), beyond(heard)]).toEqual([all.filter(tells), all.filter(tells)])
    }),
    { numRuns: 2_000 },
  )
})

test('what is kept of what was heard is found at the cost of what is, however many authors and tombstones there are', () => {
  const tombstones = Array.from({ length: 20_000 }, (_, at) => dot(at, 1))
  const link = tombstones.map((each) => ({ ...each }))
  let looks = 0
  const counted = new Proxy(link, {
    get: (target, key) => {
      if (key === 'filter') looks++
      return Reflect.get(target, key) as unknown
    },
  })
  const floor = { parts: [counted], upTo: incarnationId(3) }
  const beyond = heardBeyond(() => true, tombstones)
  for (let author = 0; author < 50; author++) {
    expect(beyond(new Heard([]))).toEqual([])
    expect(beyond(new Heard([dot(2, 5)], floor))).toEqual([dot(0, 1), dot(1, 1), dot(2, 5), dot(3, 1)])
  }
  expect(looks).toBe(1)
})

test('what is open under floors covers what the written-out clocks would, however it is joined', () => {
  fc.assert(
    fc.property(
      fc.array(sets, { minLength: 1, maxLength: 2 }),
      fc.array(fc.tuple(fc.nat(1), fc.option(fc.nat(12).map(incarnationId)), sets), { minLength: 1, maxLength: 5 }),
      vectors,
      (of, blocks, asked) => {
        const all = of.map((entries) => ({
          links: partsOf(entries),
          open: { links: partsOf(entries).map((open) => ({ open })) },
        }))
        let joined: Unsettled | undefined
        let clock: VersionVector = []
        for (const [at, upTo, rest] of blocks) {
          const { links, open } = all[at % all.length]!
          const one = new Unsettled(rest, [{ set: open, upTo, except: rest }])
          expect(one.written()).toEqual(writtenOut({ parts: links, upTo }, rest))
          joined = joinUnsettled(joined, one, isAncestorBySequence)
          clock = joinClocks(clock, writtenOut({ parts: links, upTo }, rest), isAncestorBySequence)
        }
        for (const each of asked)
          expect(joined?.covers(each, isAncestorBySequence)).toBe(coversDot(clock, each, isAncestorBySequence))
        expect(joined!.floors.length).toBeLessThanOrEqual(all.length)
      },
    ),
    { numRuns: 3_000 },
  )
})

const many = (count: number, from = 0): Dot[] => Array.from({ length: count }, (_, at) => dot(from + at, 1))

test('a set is a chain of full links and one that is not', () => {
  const first = extendChain(DOCUMENT, [], many(2_500), sodium)
  expect(first.map(({ entries }) => entries.length)).toEqual([1_024, 1_024, 452])
  expect(first.map(({ count }) => count)).toEqual([1_024, 2_048, 2_500])
  expect(entriesOfChain(first)).toEqual(sorted(many(2_500)))
  const more = extendChain(DOCUMENT, first, many(300, 2_500), sodium)
  expect(more.map(({ entries, parent }) => [entries.length, parent])).toEqual([[752, first[1]!.digest]])
  expect(entriesOfChain([...first.slice(0, 2), ...more])).toEqual(sorted(many(2_800)))
})

test('a set ends at its limit', () => {
  const links = extendChain(DOCUMENT, [], many(65_540), sodium)
  expect(links).toHaveLength(64)
  expect(links.at(-1)).toMatchObject({ count: 65_536 })
  expect(extendChain(DOCUMENT, links, many(5, 70_000), sodium)).toEqual([])
}, 60_000)

test('a link has one form, and names its parents', () => {
  const [first, second] = extendChain(DOCUMENT, [], many(1_030), sodium) as [ClosedLink, ClosedLink]
  expect(decodeLink(second.bytes, sodium)).toEqual(second)
  expect(isParentOf(first, second)).toBe(true)
  expect(isParentOf(second, first)).toBe(false)
  for (let at = 0; at < second.bytes.length; at++) {
    expect(decodeLink(second.bytes.subarray(0, at), sodium)).toBeUndefined()
    expect(decodeLink(second.bytes.with(at, second.bytes[at]! ^ 1), sodium)?.digest).not.toBe(second.digest)
  }
  const draft = { document: DOCUMENT, parent: null, count: 2, entries: many(2) }
  const bad = [
    { ...draft, count: 1 },
    { ...draft, count: 3 },
    { ...draft, parent: first.digest },
    { ...draft, count: 0, entries: [] },
    { ...draft, entries: [dot(1, 1, 0), dot(1, 2, 1)] },
    { ...draft, entries: many(2).toReversed() },
  ]
  for (const each of bad) expect(decodeLink(makeLink(each, sodium).bytes, sodium)).toBeUndefined()
  expect(decodeLink(makeLink(draft, sodium).bytes, sodium)).toBeDefined()
})

test('a chain that names an incarnation twice is no set', () => {
  const first = makeLink({ document: DOCUMENT, parent: null, count: 2, entries: many(2) }, sodium)
  const second = makeLink({ document: DOCUMENT, parent: first.digest, count: 3, entries: [dot(1, 2)] }, sodium)
  expect(isParentOf(first, second)).toBe(true)
  expect(entriesOfChain([first, second])).toBeUndefined()
})

test('closed is what ended at the base and was followed by another run, or by a week of silence', () => {
  const DAY = 24 * 60 * 60_000
  const end = (incarnation: number, author: string, wallMs: number) => ({ dot: dot(incarnation, 2), author, wallMs })
  const ends = [end(1, 'a', DAY), end(2, 'a', 2 * DAY), end(3, 'b', DAY), end(4, 'a', 3 * DAY), end(5, 'c', 9 * DAY)]
  const at = (nowMs: number, vector: VersionVector = ends.map((each) => each.dot)) =>
    closedEnds(ends, vector, incarnationId(9), nowMs).map(({ incarnation }) => incarnation)
  expect(at(4 * DAY)).toEqual([1, 2].map(incarnationId))
  expect(at(DAY + SILENT_AUTHOR_MS + 1)).toEqual([1, 2, 3].map(incarnationId))
  // It has written more than lies below the base.
  expect(at(4 * DAY, [dot(1, 3), ...ends.slice(1).map((each) => each.dot)])).toEqual([2].map(incarnationId))
  expect(
    closedEnds(
      ends,
      ends.map((each) => each.dot),
      incarnationId(1),
      4 * DAY,
    ).map((each) => each.incarnation),
  ).toEqual([incarnationId(2)])
})

test('a set is worth as many entries as end where the base does, and nothing when it names what lies beyond', () => {
  const base = [dot(1, 3), dot(2, 2)]
  expect(worthOf([dot(1, 3), dot(2, 1)], base)).toBe(1)
  // Lower sequences and made-up hashes save nobody anything.
  expect(worthOf([dot(1, 2, 1), dot(2, 1, 1)], base)).toBe(0)
  expect(worthOf([dot(1, 4)], base)).toBeUndefined()
  expect(worthOf([dot(1, 3, 1)], base)).toBeUndefined()
  expect(worthOf([dot(3, 1)], base)).toBeUndefined()
})

test('what a set saves is what it is worth', () => {
  fc.assert(
    fc.property(sets, sets, (set, base) => {
      const worth = worthOf(set, base)
      const { rest } = overFloor(base, floorsOf(set))
      if (worth !== undefined) expect(base.length - rest.length).toBe(worth)
    }),
    { numRuns: 2_000 },
  )
})

test('links in which much does not hold any more are made anew, and all after them', () => {
  const ends = many(3_100)
  const chain = extendChain(DOCUMENT, [], ends, sodium)
  expect(soundLinks(chain, ends)).toEqual(chain.slice(0, 3))
  const goneOn = (count: number) =>
    sorted([
      ...ends.slice(0, 1_024),
      ...ends.slice(1_024).map((each, at) => (at < count ? { ...each, sequence: 9 } : each)),
    ])
  expect(soundLinks(chain, goneOn(128))).toEqual(chain.slice(0, 3))
  expect(soundLinks(chain, goneOn(129))).toEqual(chain.slice(0, 1))
})

test('only the last link of a chain may have room left', () => {
  const parent = makeLink({ document: DOCUMENT, parent: null, count: 1_023, entries: many(1_023) }, sodium)
  const child = makeLink({ document: DOCUMENT, parent: parent.digest, count: 1_024, entries: many(1, 2_000) }, sodium)
  expect(decodeLink(parent.bytes, sodium)).toBeDefined()
  expect(decodeLink(child.bytes, sodium)).toBeUndefined()
})

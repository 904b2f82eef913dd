import { expect, test } from 'vitest'
import type { VersionVector } from '../crdt/clock.ts'
import type { BlockHash, IncarnationId, NodeId } from '../ids.ts'
import { firstSet, type Look, SyncSetWatch } from './sync-set.ts'

const [ME, A, B] = ['me', 'a', 'b'] as unknown as [NodeId, NodeId, NodeId]
const upTo = (sequence: number): VersionVector =>
  sequence === 0 ? [] : [{ incarnation: 'run' as IncarnationId, sequence, hash: `block ${sequence}` as BlockHash }]

/** A standby that has so much of what is here, under the layers that it reads. */
const look = (node: NodeId, has: number | undefined, mine: number, more: Partial<Look> = {}): Look => ({
  node,
  standsBy: true,
  layers: ['semantic'],
  isHere: true,
  documents: [
    {
      key: 'semantic',
      progress:
        has === undefined ? undefined : { mine: upTo(mine), receipted: upTo(has), confirmed: undefined, stored: [] },
    },
  ],
  ...more,
})

const view = (
  nowMs: number,
  members: readonly NodeId[],
  looks: Look[],
  durability: 'available' | 'strict' = 'available',
) => ({
  me: ME,
  members,
  durability,
  looks,
  leaveMs: 4_000,
  nowMs,
})

test('a member that leaves something unreceipted for four seconds leaves, and comes back when it has all', () => {
  const watch = new SyncSetWatch()
  expect(watch.next(view(0, [A, ME], [look(A, 1, 2)]))).toBeNull()
  expect(watch.next(view(3_900, [A, ME], [look(A, 1, 9)]))).toBeNull()
  expect(watch.next(view(4_000, [A, ME], [look(A, 1, 9)]))).toEqual([ME])
  expect(watch.next(view(7_000, [ME], [look(A, 1, 9)]))).toBeNull()
  expect(watch.next(view(8_000, [ME], [look(A, 9, 9)]))).toEqual([A, ME])
})

test('a member that is always behind by what was just written stays: what counts is how long it lacks one thing', () => {
  const watch = new SyncSetWatch()
  for (let second = 0; second < 60; second++)
    expect(watch.next(view(second * 1_000, [A, ME], [look(A, second, second + 2)]))).toBeNull()
})

test('a strict agent lets a standby go only where another has all that this one reads', () => {
  const late = (node: NodeId, layers: readonly string[]) => look(node, 1, 2, { layers })
  const strict = (looks: Look[]) => {
    const watch = new SyncSetWatch()
    watch.next(view(0, [A, B, ME], looks, 'strict'))
    return watch.next(view(5_000, [A, B, ME], looks, 'strict'))
  }
  expect(strict([late(A, ['semantic']), look(B, 2, 2)])).toEqual([B, ME])
  expect(strict([late(A, ['semantic', 'session']), look(B, 2, 2)])).toBeNull()
  const alone = new SyncSetWatch()
  alone.next(view(0, [A, ME], [look(A, 1, 2)], 'strict'))
  expect(alone.next(view(60_000, [A, ME], [look(A, 1, 2)], 'strict'))).toBeNull()
})

test('a member that may stand by no longer goes at once, also from a strict agent', () => {
  const watch = new SyncSetWatch()
  expect(watch.next(view(0, [A, ME], [look(A, 2, 2, { standsBy: false })], 'strict'))).toEqual([ME])
})

test('nobody joins that is away, or of whom it is not worked out what it has', () => {
  for (const each of [look(A, 2, 2, { isHere: false }), look(A, undefined, 2)]) {
    const watch = new SyncSetWatch()
    expect(watch.next(view(0, [ME], [each]))).toBeNull()
    expect(watch.joining).toEqual([])
  }
})

test('under load a standby counts from the moment in which it is nearly there, and joins when it has all of that moment', () => {
  const watch = new SyncSetWatch()
  expect(watch.next(view(0, [ME], [look(A, 98, 100)]))).toBeNull()
  expect(watch.joining).toEqual([A])
  expect(watch.next(view(500, [ME], [look(A, 99, 110)]))).toBeNull()
  expect(watch.next(view(1_000, [ME], [look(A, 100, 120)]))).toEqual([A, ME])
})

test('one that counts already and falls behind is let go of again', () => {
  const watch = new SyncSetWatch()
  watch.next(view(0, [ME], [look(A, 98, 100)]))
  expect(watch.next(view(4_000, [ME], [look(A, 99, 200)]))).toBeNull()
  expect(watch.joining).toEqual([])
})

test('one that comes and goes is taken back more and more slowly', () => {
  const watch = new SyncSetWatch()
  const waits: number[] = []
  let nowMs = 0
  for (let round = 0; round < 12; round++) {
    watch.next(view(nowMs, [A, ME], [look(A, 1, 2)]))
    nowMs += 4_000
    expect(watch.next(view(nowMs, [A, ME], [look(A, 1, 2)]))).toEqual([ME])
    const leftMs = nowMs
    while (watch.next(view(nowMs, [ME], [look(A, 2, 2)])) === null) nowMs += 500
    waits.push(nowMs - leftMs)
  }
  expect(waits.slice(0, 4)).toEqual([2_000, 4_000, 8_000, 16_000])
  expect(waits.at(-1)).toBe(600_000)
})

test('the first set of a term is that of the term before and its holder; else the standbys that are there', () => {
  const looks = [look(A, 0, 2, { isHere: false }), look(B, 0, 2)]
  expect(firstSet(ME, null, looks)).toEqual([B, ME])
  expect(firstSet(ME, [A], looks)).toEqual([A, ME])
  expect(firstSet(ME, [A], [look(A, 0, 2, { standsBy: false })])).toEqual([ME])
})

import type { OpenedPacket } from '@sealmesh/protocol/envelope/packet'
import type { SyncItem } from '@sealmesh/protocol/sync/payload'
import { expect, test } from 'vitest'
import { LatestHeads } from './latest-heads.ts'

const heads: SyncItem = { type: 'heads', fresh: false, root: new Uint8Array(32), documents: 1 }
const vectors: SyncItem = { type: 'vectors', asks: false, documents: [] }
const blocks: SyncItem = { type: 'blocks', blocks: [new Uint8Array(3)] }
const arrived = (sequence: number, items: SyncItem[], logHead = 'old', incarnation = 'first') => ({
  items,
  packet: { incarnation, sequence, logHeads: [logHead] } as unknown as OpenedPacket,
})

test('what was sealed before the heads that are known says nothing of its sender, and is taken all the same', () => {
  const latest = new LatestHeads()
  expect(latest.newsIn(arrived(4, [vectors]))).toEqual({ items: [vectors], logHeads: ['old'] })
  expect(latest.newsIn(arrived(7, [heads, blocks], 'new'))).toEqual({ items: [heads, blocks], logHeads: ['new'] })
  expect(latest.newsIn(arrived(5, [heads, vectors, blocks]))).toEqual({ items: [blocks], logHeads: ['new'] })
  // Sealed later, if without heads: it may say more.
  expect(latest.newsIn(arrived(8, [vectors], 'newer'))).toEqual({ items: [vectors], logHeads: ['newer'] })
  expect(latest.newsIn(arrived(6, [vectors, blocks]))).toEqual({ items: [blocks], logHeads: ['new'] })
})

test('another run of the sender counts anew', () => {
  const latest = new LatestHeads()
  latest.newsIn(arrived(90, [heads]))
  expect(latest.newsIn(arrived(1, [heads], 'new', 'second'))).toEqual({ items: [heads], logHeads: ['new'] })
  expect(latest.newsIn(arrived(2, [heads], 'newer', 'second')).items).toEqual([heads])
})

test('several heartbeats at once are one chance to mend things, whatever their order', () => {
  const latest = new LatestHeads()
  const chances = [0, 1_000, 4_999, 5_000, 9_000].map((ms) => latest.isChance(arrived(1, [heads]), 60_000 + ms))
  expect(chances).toEqual([true, false, false, true, false])
  expect(latest.isChance(arrived(9, [blocks]), 120_000)).toBe(false)
})

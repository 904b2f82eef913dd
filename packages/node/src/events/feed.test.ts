import { expect, test } from 'vitest'
import { EventFeed, type Happened } from './feed.ts'

const EVERYTHING = { types: undefined, agent: undefined, layer: undefined }
const happened = (number: number, change: Partial<Happened> = {}): Happened => ({
  type: 'write',
  agent: 'claude',
  layer: 'semantic',
  count: 1,
  bytes: 100,
  make: () => ({ at: '2026-11-20T12:00:00.000Z', umr: null, nodeName: null, local: true, detail: { number } }),
  ...change,
})

function readAll(feed: EventFeed, from: number, wanted = EVERYTHING as Parameters<EventFeed['next']>[1]) {
  const numbers: unknown[] = []
  let [at, lost] = [from, 0]
  for (;;) {
    const next = feed.next(at, wanted)
    lost += next.lost
    at = next.at
    if (next.event === undefined) return { numbers, lost, at }
    numbers.push(next.event.detail['number'])
  }
}

test('a reader that comes back with its cursor misses nothing and hears nothing twice', () => {
  const feed = new EventFeed('aa')
  for (let i = 0; i < 3; i++) feed.publish(happened(i))
  const second = feed.next(feed.next(0, EVERYTHING).at, EVERYTHING)
  expect(second.event?.detail).toEqual({ number: 1 })
  const cursor = second.event?.cursor
  feed.publish(happened(3))
  const { at, lost } = feed.open(cursor)
  expect([readAll(feed, at).numbers, lost]).toEqual([[2, 3], 0])
})

test('a reader without a cursor begins now', () => {
  const feed = new EventFeed('aa')
  feed.publish(happened(0))
  const { at } = feed.open(undefined)
  feed.publish(happened(1))
  expect(readAll(feed, at).numbers).toEqual([1])
})

test.each(['bb.1', 'aa.999', 'aa.x', '', 'aa'])(
  'a cursor of another run or of nothing, %j, says that it has lost count',
  (cursor) => {
    const feed = new EventFeed('aa')
    for (let i = 0; i < 3; i++) feed.publish(happened(i))
    const { at, lost } = feed.open(cursor)
    expect([readAll(feed, at).numbers, lost]).toEqual([[0, 1, 2], null])
  },
)

test('only what is wanted is made and given', () => {
  const feed = new EventFeed('aa')
  const never = () => {
    throw new Error('not wanted')
  }
  feed.publish(happened(0, { type: 'peer', agent: null, layer: null, make: never }))
  feed.publish(happened(1, { layer: 'episodic', make: never }))
  feed.publish(happened(2))
  expect(readAll(feed, 0, { types: ['write', 'peer'], agent: 'claude', layer: 'semantic' }).numbers).toEqual([2])
})

test('what is kept is bounded by number and by bytes, and a reader that is too far behind is told how much it missed', () => {
  const feed = new EventFeed('aa')
  for (let i = 0; i < 40_000; i++) feed.publish(happened(i))
  const read = readAll(feed, 0)
  expect(read.numbers.length).toBeLessThanOrEqual(16_384)
  expect(read.lost).toBe(40_000 - read.numbers.length)
  expect(read.numbers.at(-1)).toBe(39_999)
  for (let i = 0; i < 100; i++) feed.publish(happened(i, { bytes: 1_000_000 }))
  const large = readAll(feed, 0)
  expect(large.numbers.length).toBeLessThanOrEqual(17)
  expect(large.numbers.at(-1)).toBe(99)
})

test('several that came together are events of their own, also for who comes back in their middle', () => {
  const feed = new EventFeed('aa')
  const made = (first: number) => (index: number) => ({ ...happened(0).make(0), detail: { number: first + index } })
  feed.publish(happened(0))
  feed.publish(happened(1, { count: 3, make: made(1) }))
  feed.publish(happened(4))
  expect(readAll(feed, 0).numbers).toEqual([0, 1, 2, 3, 4])
  const { at } = feed.open('aa.2')
  expect(readAll(feed, at)).toEqual({ numbers: [2, 3, 4], lost: 0, at: 5 })
})

test('of what is forgotten every event is counted as lost', () => {
  const feed = new EventFeed('aa')
  const make = (index: number) => ({ ...happened(0).make(0), detail: { number: index } })
  for (let i = 0; i < 300; i++) feed.publish(happened(i, { count: 100, make }))
  const { numbers, lost } = readAll(feed, 0)
  expect(numbers.length + lost).toBe(30_000)
  expect(lost).toBeGreaterThan(0)
  expect(numbers.length).toBeGreaterThanOrEqual(8_000)
})

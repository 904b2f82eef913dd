import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Nats } from './nats.ts'
import { Peers } from './peers.ts'
import { decodeTunnelMessage, KINDS } from './tunnel-codec.ts'

const OTHER = 'bb'.repeat(16)
/** Links of the records of each message, by lane. */
let left: { control: number[][]; bulk: number[][] }
let peers: Peers

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setImmediate', 'clearImmediate', 'setTimeout', 'clearTimeout', 'performance'] })
  left = { control: [], bulk: [] }
  const lane = (messages: number[][]) => ({
    publish: (_subject: string, bytes: Uint8Array) => {
      const decoded = decodeTunnelMessage(bytes)
      messages.push(decoded.ok ? decoded.value.records.map(({ link }) => link) : [])
    },
  })
  peers = new Peers({
    nats: { control: lane(left.control), bulk: lane(left.bulk) } as unknown as Nats,
    instance: 'aa'.repeat(16),
    onRecord: () => undefined,
    onLost: () => undefined,
    isNeeded: () => false,
  })
})
afterEach(() => {
  vi.useRealTimers()
})

const tell = (link: number, bytes = 100, lane: 'control' | 'bulk' = 'bulk'): void =>
  peers.tell(OTHER, lane, { kind: KINDS.up, link, bytes: new Uint8Array(bytes) })
const turn = (): unknown => vi.advanceTimersByTime(0)

test('a lone record leaves at the end of its turn, and what follows within a millisecond leaves together', () => {
  tell(1)
  turn()
  expect(left.bulk).toEqual([[1]])
  for (const link of [2, 3, 4]) {
    tell(link)
    turn()
  }
  expect(left.bulk).toEqual([[1]])
  vi.advanceTimersByTime(1)
  expect(left.bulk).toEqual([[1], [2, 3, 4]])
  vi.advanceTimersByTime(10)
  tell(5)
  turn()
  expect(left.bulk.at(-1)).toEqual([5])
})

test('what is large waits for nobody, and control records never do', () => {
  tell(1)
  turn()
  tell(2, 4_000)
  turn()
  tell(3, 200)
  tell(4, 4, 'control')
  turn()
  expect(left).toEqual({ control: [[4]], bulk: [[1], [2, 3]] })
})

test('all that waits leaves before the end', () => {
  tell(1)
  turn()
  tell(2)
  turn()
  peers.stop()
  expect(left.bulk).toEqual([[1], [2]])
})

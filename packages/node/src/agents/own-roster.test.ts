import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Intent } from '@sealmesh/protocol/crdt/writer'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { Profile } from '@sealmesh/protocol/messages/profile'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { OwnRoster } from './own-roster.ts'
import type { Seat } from './seat.ts'

const [home, office] = ['01', '02'].map((byte) => byte.repeat(32) as NodeId) as [NodeId, NodeId]
const [founder, bob, carol] = ['a1', 'b2', 'c3'].map((byte) => byte.repeat(32) as AgentId) as [
  AgentId,
  AgentId,
  AgentId,
]
const LIFE_MS = 900_000

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** A machine whose roster another one may read, with a document that only remembers. */
function scene(readers: readonly NodeId[] = [office], values = new Map<string, string>()) {
  const grants = readers.map((node) => ({ layer: 'roster', access: 'read', ended: null, to: { type: 'node', node } }))
  const agent = { id: founder, name: 'home', hosts: [home], term: { holder: home }, grants }
  const node = (id: NodeId) => [id, { id, revocations: [], foundingAgent: { id: founder, name: 'home' } }] as const
  const mesh = { nodes: new Map([node(home), node(office)]), agents: new Map([[founder, agent]]) } as unknown as Mesh
  const writes: Intent[][] = []
  const seats: Seat[] = []
  const seat = (id: AgentId) => ({ id, attached: true, profile: Profile.parse({}), sinceMs: 1 }) as unknown as Seat
  const read = (key: string) => ({ author: home, value: values.get(key), time: { wallMs: Date.now() } })
  const roster = new OwnRoster({
    node: home,
    mesh: () => mesh,
    documents: {
      open: async () => ({ keys: () => [...values.keys()], read }) as unknown as Document,
      write: async (_, intents) => {
        if (intents.length > 0) writes.push([...intents])
        for (const each of intents) {
          if (each.type === 'set') values.set(each.key, each.value)
          else if (each.type === 'delete') values.delete(each.key)
        }
        return []
      },
    },
    seats: () => seats,
    isForAll: () => false,
    lifeMs: () => LIFE_MS,
    share: async () => undefined,
    now: () => Date.now(),
    failed: (error) => {
      throw error
    },
  })
  return {
    roster,
    values,
    seats,
    seat,
    writes,
    keysOf: (at: number) => writes[at]?.map((each) => ('key' in each ? each.key : '')),
  }
}

test('what changes is written together, at most once in ten seconds, however often it is said', async () => {
  const { roster, seats, seat, writes, keysOf } = scene()
  seats.push(seat(bob), seat(carol))
  for (let ms = 0; ms < 9_000; ms += 50) {
    // Never quiet for as long as changes are gathered.
    seats[0]!.profile = Profile.parse({ load: ms })
    roster.changed()
    await vi.advanceTimersByTimeAsync(50)
  }
  expect(writes).toHaveLength(1)
  expect(keysOf(0)).toEqual([bob, carol, 'holds'])
  await vi.advanceTimersByTimeAsync(2_000)
  expect(keysOf(1)).toEqual([bob, 'holds'])
  await roster.close()
})

test('it is said again before it holds no more, by one register, and taken back at the end', async () => {
  const { roster, seats, seat, writes, keysOf } = scene()
  seats.push(seat(bob), seat(carol))
  roster.changed()
  await vi.advanceTimersByTimeAsync(LIFE_MS)
  expect(writes.slice(1).length).toBeGreaterThanOrEqual(2)
  for (const at of writes.keys()) if (at > 0) expect(keysOf(at)).toEqual(['holds'])
  const before = writes.length
  await roster.close()
  expect(keysOf(before)).toEqual([bob, carol])
  roster.changed()
  await vi.advanceTimersByTimeAsync(LIFE_MS)
  expect(writes).toHaveLength(before + 1)
})

test('nothing is written where nobody may read it, nor while nobody is attached', async () => {
  const lonely = scene([])
  lonely.seats.push(lonely.seat(bob))
  const empty = scene()
  for (const { roster, writes } of [lonely, empty]) {
    roster.changed()
    await vi.advanceTimersByTimeAsync(LIFE_MS)
    expect(writes).toEqual([])
    await roster.close()
  }
})

test('whom a killed run told of is taken back only if they do not come back in time', async () => {
  const before = scene()
  before.seats.push(before.seat(bob), before.seat(carol))
  before.roster.changed()
  await vi.advanceTimersByTimeAsync(1_000)

  const { roster, seats, seat, writes, keysOf } = scene([office], new Map(before.values))
  seats.push(Object.assign(seat(bob), { sinceMs: 2 }))
  roster.changed()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(keysOf(0)).toEqual([bob, 'holds'])
  await vi.advanceTimersByTimeAsync(6_000)
  expect(keysOf(1)).toEqual([carol, 'holds'])

  // And where nobody comes back at all.
  const empty = scene([office], new Map(before.values))
  await vi.advanceTimersByTimeAsync(9_000)
  expect(empty.writes).toEqual([])
  await vi.advanceTimersByTimeAsync(2_000)
  expect(empty.keysOf(0)).toEqual([bob, carol])

  const quick = scene([office], new Map(before.values))
  quick.seats.push(quick.seat(bob))
  quick.roster.changed()
  await vi.advanceTimersByTimeAsync(3_000)
  quick.seats.push(quick.seat(carol))
  quick.roster.changed()
  await vi.advanceTimersByTimeAsync(20_000)
  expect(quick.writes.flat().filter(({ type }) => type === 'delete')).toEqual([])
  for (const each of [before, { roster }, empty, quick]) await each.roster.close()
  expect(writes.at(-1)).toMatchObject([{ type: 'delete' }])
})

import type { PacketId } from '@sealmesh/protocol/ids'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { loadSodium } from '@sealmesh/sodium/load'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { TestMesh } from './mesh.ts'
import { type Client, SimulatedRelay } from './simulated-relay.ts'

/** A node's mailboxes under everything that can happen to a relay, its disk and its readers, in any order. */
let sodium: Sodium
beforeAll(async () => {
  sodium = await loadSodium()
})

type Step =
  | { type: 'send'; packets: number; bytes: number }
  | { type: 'commit' | 'fail' | 'ack' | 'join' | 'rejoin' | 'leave' | 'crash' | 'stall' | 'tick' | 'read' | 'midnight' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('send' as const),
      packets: fc.integer({ min: 1, max: 6 }),
      bytes: fc.constantFrom(800, 3_000, 9_000),
    }),
  },
  { weight: 6, arbitrary: fc.constant({ type: 'commit' as const }) },
  { weight: 4, arbitrary: fc.constant({ type: 'ack' as const }) },
  { weight: 4, arbitrary: fc.constant({ type: 'read' as const }) },
  { weight: 3, arbitrary: fc.constant({ type: 'join' as const }) },
  { weight: 2, arbitrary: fc.constant({ type: 'leave' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'rejoin' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'crash' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'fail' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'stall' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'tick' as const }) },
  { weight: 2, arbitrary: fc.constant({ type: 'midnight' as const }) },
)

const DAYS_MAX = 5

interface Run {
  readonly sent: PacketId[]
  readonly outcomes: Map<PacketId, string>
  /** Deliveries by session. */
  readonly sessions: PacketId[][]
  readonly acknowledged: Set<PacketId>
  readonly peakBytes: number
  /** The most that one session had in hand. */
  readonly peakInHand: number
}

const idOf = (packet: Uint8Array): PacketId => {
  const header = readPacketHeader(packet)
  if (!header.ok) throw new Error('a packet that was never sent')
  return header.value.id
}

/** Runs the steps, then ends all faults and lets the reader have everything. */
function run(steps: readonly Step[], quota: number): Run {
  const limits = { unackedBytesMax: 20_000, mailboxBytesMax: quota, unansweredBytesMax: 1e9 }
  const relay = new SimulatedRelay(sodium, limits)
  const mesh = new TestMesh(sodium, 'properties')
  relay.admit(mesh.id)
  const [alice, bob] = [mesh.member('alice'), mesh.member('bob')]
  // Bob reads those of all days until tomorrow.
  const days = Array.from({ length: DAYS_MAX + 2 }, (_, day) => mesh.member(`bob on day ${day}`))
  let today = 0
  const secrets = (): Uint8Array[] => days.slice(0, today + 2).map(({ mailboxSecret }) => mailboxSecret)
  let sender = relay.login(alice)
  let reader: Client | null = null
  const sent: PacketId[] = []
  const outcomes = new Map<PacketId, string>()
  const sessions: Client[] = []
  const acknowledged = new Set<PacketId>()
  let peakBytes = 0
  const collect = (): void => {
    for (const [packet, [first]] of sender.answers) if (first !== undefined) outcomes.set(packet, first.outcome)
    for (const { mailbox } of days) peakBytes = Math.max(peakBytes, relay.storedBytes(mailbox))
  }
  const join = (): Client => {
    const client = relay.connect()
    client.answerAs(bob)
    relay.commit()
    client.read(...secrets())
    sessions.push(client)
    return client
  }
  const ack = (): void => {
    if (reader?.open !== true) return
    for (const { packet } of reader.got) acknowledged.add(idOf(packet))
    reader.acknowledge()
  }
  for (const next of steps) {
    switch (next.type) {
      case 'send':
        for (let i = 0; i < next.packets; i++) {
          const packet = mesh.packet([days[today]!.mailbox], relay.nowMs + 3_600_000, next.bytes)
          sent.push(packet.id)
          sender.send(packet.bytes)
        }
        break
      case 'commit':
        relay.commit()
        break
      case 'read':
        relay.finishReads()
        break
      case 'fail':
        relay.failCommit('DISK_FULL')
        break
      case 'ack':
        ack()
        break
      case 'join':
        if (reader?.open !== true) reader = join()
        break
      case 'rejoin':
        reader = join()
        break
      case 'leave':
        if (reader !== null) relay.drop(reader)
        reader = null
        break
      case 'crash':
        collect()
        relay.crash()
        reader = null
        sender = relay.login(alice)
        break
      case 'stall':
        relay.nowMs += 12_000
        relay.feed({ type: 'tick' })
        for (const client of relay.clients.values()) client.say({ type: 'ping', number: 1 })
        break
      case 'tick':
        relay.feed({ type: 'tick' })
        break
      case 'midnight':
        today = Math.min(today + 1, DAYS_MAX)
        for (const client of sessions) if (client.open) client.read(...secrets())
        break
    }
    if (!sender.open) {
      collect()
      sender = relay.login(alice)
    }
    collect()
  }
  relay.settle()
  collect()
  const last = join()
  reader = last
  for (let before = -1; before !== last.got.length; ) {
    before = last.got.length
    relay.settle()
    ack()
    relay.settle()
  }
  collect()
  const peakInHand = Math.max(...sessions.map((client) => client.peakInHand))
  return {
    sent,
    outcomes,
    sessions: sessions.map(({ got }) => got.map(({ packet }) => idOf(packet))),
    acknowledged,
    peakBytes,
    peakInHand,
  }
}

const steps = fc.array(step, { maxLength: 60 })

test('a packet that was called stored reaches its reader, whatever crashes and fails in between', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const { outcomes, acknowledged } = run(all, 10_000_000)
      for (const [packet, outcome] of outcomes) if (outcome === 'stored') expect(acknowledged.has(packet)).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test('without crashes and failing disks a packet that was called delivered is never lost either', () => {
  const calm = steps.map((all) => all.filter(({ type }) => type !== 'crash' && type !== 'fail'))
  fc.assert(
    fc.property(calm, (all) => {
      const { sent, outcomes, acknowledged } = run(all, 10_000_000)
      expect([...outcomes.values()].filter((outcome) => outcome === 'refused')).toEqual([])
      expect(sent.filter((packet) => !acknowledged.has(packet))).toEqual([])
    }),
    { numRuns: 300 },
  )
})

test('within a session packets come in the order in which they were sent, each once', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const { sent, sessions } = run(all, 10_000_000)
      const place = new Map(sent.map((packet, index) => [packet, index]))
      for (const session of sessions) {
        const places = session.map((packet) => place.get(packet) ?? -1)
        expect(places).toEqual([...new Set(places)].toSorted((a, b) => a - b))
      }
    }),
    { numRuns: 300 },
  )
})

test('a mailbox stays below its quota, whatever comes back from readers', () => {
  fc.assert(
    fc.property(steps, (all) => {
      expect(run(all, 30_000).peakBytes).toBeLessThanOrEqual(30_000)
    }),
    { numRuns: 200 },
  )
})

test('a reader is never handed more than its cap before it acknowledges', () => {
  fc.assert(
    fc.property(steps, (all) => {
      expect(run(all, 10_000_000).peakInHand).toBeLessThanOrEqual(20_000)
    }),
    { numRuns: 200 },
  )
})

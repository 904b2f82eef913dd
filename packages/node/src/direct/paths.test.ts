import { packetIdAt } from '@sealmesh/protocol/envelope/header'
import type { MailboxId, NodeId, PacketId } from '@sealmesh/protocol/ids'
import { DELIVERED, type Outcome } from '@sealmesh/protocol/wire/frame'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { LinkEvent } from '../uplink/link-event.ts'
import { DOUBT_AFTER_MS } from './core/direct-limits.ts'
import { mailboxOf, packetTo } from './core/test-packet.ts'
import type { DirectLink } from './direct-link.ts'
import { DirectLinks } from './direct-links.ts'
import { Paths } from './paths.ts'

const ME = '11' as NodeId
const OFFICE = '22' as NodeId
const CAR = '33' as NodeId
const MAILBOXES = new Map<NodeId, MailboxId>([
  [OFFICE, mailboxOf(2)],
  [CAR, mailboxOf(3)],
])
const toOffice = (number: number): Uint8Array => packetTo(mailboxOf(2), number)
const LIVE: LinkEvent = { type: 'live', newGeneration: false }

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

/** Relays that are live or not, and links whose other ends answer when they are told to. */
function scene(relaysLive: boolean) {
  const links = new DirectLinks(ME)
  const byRelay: PacketId[] = []
  const direct: PacketId[] = []
  const heard: string[] = []
  const relays = {
    isLive: relaysLive,
    says: 'sent' as 'sent' | 'full',
    send: (packet: Uint8Array) => {
      if (!relays.isLive) return 'down' as const
      if (relays.says === 'sent') byRelay.push(packetIdAt(packet))
      return relays.says
    },
  }
  const members = { mailboxOf: (node: NodeId) => MAILBOXES.get(node) }
  const paths = new Paths({ relays, links, members, monotonicMs: () => performance.now() })
  paths.onEvent = (event) => heard.push(event.type)
  if (relaysLive) paths.heed(LIVE)
  heard.length = 0
  const link = (peer: NodeId): DirectLink & { lives: boolean } => ({
    peer,
    dialledBy: 'here',
    at: '',
    sinceMs: 0,
    lives: true,
    send: (id) => {
      direct.push(id)
      return 'sent'
    },
    probe() {
      return this.lives ? Promise.resolve() : new Promise(() => undefined)
    },
    end: () => undefined,
  })
  const answer = (from: DirectLink, packet: Uint8Array, outcome: Outcome = DELIVERED): void =>
    links.heard(from, { type: 'answer', packet: packetIdAt(packet), outcomes: [outcome] })
  return { links, relays, paths, byRelay, direct, heard, link, answer }
}
const ids = (...packets: Uint8Array[]): PacketId[] => packets.map(packetIdAt)

test('a packet goes to its reader’s own link, and by no relay when that has taken it', async () => {
  const { links, paths, byRelay, direct, heard, link, answer } = scene(true)
  const office = link(OFFICE)
  links.arrived(office)
  expect(paths.send(toOffice(1))).toBe('sent')
  expect(paths.send(packetTo(mailboxOf(3), 2))).toBe('sent')
  expect([direct, byRelay]).toEqual([ids(toOffice(1)), ids(packetTo(mailboxOf(3), 2))])
  answer(office, toOffice(1))
  await vi.advanceTimersByTimeAsync(20_000)
  expect(byRelay).toHaveLength(1)
  expect(heard).toEqual(['answer'])
})

test('a link that is dead takes a second of one packet, and nothing of those after it', async () => {
  const { links, paths, byRelay, direct, link } = scene(true)
  const office = link(OFFICE)
  office.lives = false
  links.arrived(office)
  paths.send(toOffice(1))
  await vi.advanceTimersByTimeAsync(DOUBT_AFTER_MS - 100)
  expect(byRelay).toEqual([])
  await vi.advanceTimersByTimeAsync(200)
  expect(byRelay).toEqual(ids(toOffice(1)))
  paths.send(toOffice(2))
  expect(byRelay).toEqual(ids(toOffice(1), toOffice(2)))
  expect(direct).toEqual(ids(toOffice(1)))
  expect(paths.pathTo(OFFICE)).toBe('does not answer')
})

test('what a link owes when it falls, and what it refuses, goes by the relays', () => {
  const { links, paths, byRelay, heard, link, answer } = scene(true)
  const office = link(OFFICE)
  links.arrived(office)
  for (const number of [1, 2, 3]) paths.send(toOffice(number))
  answer(office, toOffice(2), { outcome: 'refused', reason: 'RECIPIENT_FORBIDDEN' })
  answer(office, toOffice(1))
  links.left(office, 'RELAY_CLOSED')
  expect(byRelay).toEqual(ids(toOffice(2), toOffice(3)))
  expect(heard).toEqual(['answer'])
})

test('an answer that comes when the relays have the packet too is told; a refusal then is not', async () => {
  const { links, paths, byRelay, heard, link, answer } = scene(true)
  const office = link(OFFICE)
  office.lives = false
  links.arrived(office)
  for (const number of [1, 2]) paths.send(toOffice(number))
  await vi.advanceTimersByTimeAsync(2 * DOUBT_AFTER_MS)
  expect(byRelay).toHaveLength(2)
  answer(office, toOffice(1), { outcome: 'refused', reason: 'RECIPIENT_FORBIDDEN' })
  expect([heard, byRelay.length]).toEqual([[], 2])
  answer(office, toOffice(2))
  expect(heard).toEqual(['answer'])
  expect(paths.pathTo(OFFICE)).toBe('direct')
})

test('what the relays had no room for is offered to them when they have', () => {
  const { links, relays, paths, byRelay, link } = scene(true)
  const office = link(OFFICE)
  links.arrived(office)
  paths.send(toOffice(1))
  relays.says = 'full'
  links.left(office, 'RELAY_CLOSED')
  expect(byRelay).toEqual([])
  relays.says = 'sent'
  paths.heed({ type: 'room' })
  expect(byRelay).toEqual(ids(toOffice(1)))
})

test('the first link is as good as a relay that comes, the last that falls as one that goes', () => {
  const { links, paths, heard, link } = scene(false)
  expect(paths.reaches(OFFICE)).toBe(false)
  const [office, car] = [link(OFFICE), link(CAR)]
  links.arrived(office)
  expect(heard.splice(0)).toEqual(['live', 'drained'])
  expect([paths.reaches(OFFICE), paths.reaches(CAR)]).toEqual([true, false])
  links.arrived(car)
  expect(heard.splice(0)).toEqual(['room'])
  links.left(office, 'RELAY_CLOSED')
  expect(heard.splice(0)).toEqual([])
  links.left(car, 'RELAY_CLOSED')
  expect(heard.splice(0)).toEqual(['down'])
})

test('relays that fall while there is a link take their packets with them, once', () => {
  const { links, relays, paths, heard, link } = scene(true)
  links.arrived(link(OFFICE))
  expect(heard).toEqual([])
  relays.isLive = false
  paths.heed({ type: 'down', reason: 'RELAY_CLOSED' })
  expect(heard.splice(0)).toEqual(['down', 'live', 'drained'])
  // Every try to dial them that fails.
  paths.heed({ type: 'down', reason: 'RELAY_UNREACHABLE' })
  expect(heard).toEqual([])
})

test('a packet that a fallen link owes and nobody can take makes its sender begin anew', () => {
  const { links, paths, heard, link } = scene(false)
  const [office, car] = [link(OFFICE), link(CAR)]
  links.arrived(office)
  links.arrived(car)
  heard.length = 0
  paths.send(toOffice(1))
  paths.send(toOffice(2))
  links.left(office, 'RELAY_CLOSED')
  expect(heard).toEqual(['down', 'live', 'drained'])
})

test('a packet for two readers goes to the relays, which have one answer for it', () => {
  const { links, paths, byRelay, direct, link } = scene(true)
  links.arrived(link(OFFICE))
  const both = new Uint8Array(900)
  both.set(toOffice(1))
  both[23] = 2
  both.fill(0xff, 24 + 112, 24 + 112 + 32)
  paths.send(both)
  expect([direct, byRelay]).toEqual([[], ids(both)])
})

import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Member, TestMesh } from './mesh.ts'
import { type Client, SimulatedRelay } from './simulated-relay.ts'

let sodium: Sodium
let relay: SimulatedRelay
let mesh: TestMesh
let [alice, bob]: Member[] = []
let sender: Client

function begin(limits: ConstructorParameters<typeof SimulatedRelay>[1] = {}): void {
  relay = new SimulatedRelay(sodium, limits)
  mesh = new TestMesh(sodium, 'mailboxes')
  relay.admit(mesh.id)
  alice = mesh.member('alice')
  bob = mesh.member('bob')
  relay.drop(relay.login(theReader()))
  sender = relay.login(theSender())
}
const theReader = (): Member => bob as Member
const theSender = (): Member => alice as Member
const send = (bytes = 0, livesMs = 3_600_000) => {
  const packet = mesh.packet([theReader().mailbox], relay.nowMs + livesMs, bytes)
  sender.send(packet.bytes)
  return packet
}

beforeEach(async () => {
  sodium = await loadSodium()
  begin()
})

describe('a packet', () => {
  test('for a reader that is there is delivered at once, and never touches the disk', () => {
    const reader = relay.login(theReader())
    const packet = send()
    expect(sender.outcome(packet.id)).toBe('delivered')
    expect(reader.got.map((item) => item.packet)).toEqual([packet.bytes])
    relay.settle()
    reader.acknowledge()
    expect(relay.storedBytes(theReader().mailbox)).toBe(0)
  })
  test('for a reader that is away is answered when it is durable, not before', () => {
    const packet = send()
    expect(sender.outcome(packet.id)).toBeUndefined()
    relay.commit()
    expect(sender.outcome(packet.id)).toBe('stored')
  })
  test('that is kept stays as it was, while the memory of those before it is used again', () => {
    const sent: Uint8Array[] = []
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 3; i++) sent.push(send(900).bytes)
      relay.commit()
    }
    const { freeBytes } = relay.state.slabs
    expect([freeBytes > 0, freeBytes < 4 * 1_024]).toEqual([true, true])
    const reader = relay.login(theReader())
    relay.settle()
    expect(reader.got.map(({ packet }) => Buffer.from(packet).toString('hex'))).toEqual(
      sent.map((packet) => Buffer.from(packet).toString('hex')),
    )
  })
  test('for several is answered for each of them', () => {
    const carol = mesh.member('carol')
    const reader = relay.login(carol)
    const stranger = mesh.member('stranger')
    const packet = mesh.packet([carol.mailbox, theReader().mailbox, stranger.mailbox], relay.nowMs + 1e6)
    sender.send(packet.bytes)
    relay.commit()
    const byMailbox = [carol, theReader(), stranger]
      .map(({ mailbox }, i) => ({ mailbox, expected: ['delivered', 'stored', 'stored'][i] }))
      .toSorted((a, b) => (a.mailbox < b.mailbox ? -1 : 1))
    expect(sender.answers.get(packet.id)?.map(({ outcome }) => outcome)).toEqual(
      byMailbox.map(({ expected }) => expected),
    )
    expect(reader.got).toHaveLength(1)
  })
  test('T-stranger-5: to a mailbox of another mesh reaches nobody there', () => {
    const other = new TestMesh(sodium, 'another mesh')
    relay.admit(other.id)
    const stranger = other.member('stranger')
    const before = relay.login(stranger)
    sender.send(mesh.packet([stranger.mailbox], relay.nowMs + 1e6).bytes)
    relay.settle()
    const after = relay.login(stranger)
    relay.settle()
    expect([before.got, after.got]).toEqual([[], []])
  })
  test('that is too old is refused', () => {
    expect(sender.outcome(send(0, -1).id)).toBe('PACKET_EXPIRED')
  })
  test('that is none ends its connection', () => {
    sender.send(new Uint8Array(900))
    expect(sender.goodbye).toBe('FRAME_MALFORMED')
  })
})

describe('a mailbox', () => {
  test('is drained in order, says so, and then forwards', () => {
    const packets = [send(), send(), send()]
    relay.settle()
    const reader = relay.login(theReader())
    expect(reader.frame('drained')).toBeUndefined()
    relay.settle()
    expect(reader.got.map((item) => item.packet)).toEqual(packets.map((packet) => packet.bytes))
    expect(reader.frame('drained')).toBeDefined()
    expect(sender.outcome(send().id)).toBe('delivered')
  })
  test('keeps what was not acknowledged, and forgets what was', () => {
    const packets = [send(), send(), send(), send()]
    relay.settle()
    const first = relay.login(theReader())
    relay.settle()
    first.say({ type: 'ack', sequence: first.got[1]?.sequence ?? 0 })
    relay.settle()
    relay.crash()
    const second = relay.login(theReader())
    relay.settle()
    expect(second.got.map((item) => item.packet)).toEqual(packets.slice(2).map(({ bytes }) => bytes))
  })
  test('takes back what a reader had in hand when it left, also if the relay dies then', () => {
    const reader = relay.login(theReader())
    const packet = send()
    expect(sender.outcome(packet.id)).toBe('delivered')
    relay.drop(reader)
    relay.commit()
    relay.crash()
    const again = relay.login(theReader())
    relay.settle()
    expect(again.got.map((item) => item.packet)).toEqual([packet.bytes])
  })
  test('T-peer-6: refuses beyond its bytes and its number of packets, and leaves a mark', () => {
    begin({ mailboxBytesMax: 2_000 })
    send(900)
    send(900)
    expect(sender.outcome(send(900).id)).toBe('QUOTA_BYTES')
    begin({ mailboxPacketsMax: 2 })
    send()
    send()
    expect(sender.outcome(send().id)).toBe('QUOTA_PACKETS')
    relay.settle()
    const reader = relay.login(theReader())
    relay.settle()
    expect(reader.frame('lost')).toEqual({ type: 'lost', count: 1 })
  })
  test('drops what has expired and leaves a mark until its reader has heard of it', () => {
    send(0, 10_000)
    const kept = send()
    relay.settle()
    relay.nowMs += 60_000
    relay.feed({ type: 'tick' })
    relay.settle()
    relay.crash()
    const reader = relay.login(theReader())
    relay.settle()
    expect(reader.frame('lost')).toEqual({ type: 'lost', count: 1 })
    expect(reader.got.map((item) => item.packet)).toEqual([kept.bytes])
    relay.drop(reader)
    const again = relay.login(theReader())
    relay.settle()
    expect(again.frame('lost')).toEqual({ type: 'lost', count: 1 })
    again.acknowledge()
    relay.settle()
    relay.crash()
    const last = relay.login(theReader())
    relay.settle()
    expect([last.frame('drained'), last.frame('lost')]).toEqual([{ type: 'drained' }, undefined])
  })
  test('tells a reader that is there when packets for it were dropped', () => {
    begin({ mailboxBytesMax: 2_000, unackedBytesMax: 1_000 })
    const reader = relay.login(theReader())
    for (let i = 0; i < 4; i++) send(900)
    expect(reader.frame('lost')).toEqual({ type: 'lost', count: 1 })
  })
  test('T-peer-6: cannot be emptied by acknowledging what was never handed over', () => {
    begin({ unackedBytesMax: 1_000 })
    for (let i = 0; i < 3; i++) send(900)
    relay.settle()
    const reader = relay.login(theReader())
    relay.settle()
    reader.say({ type: 'ack', sequence: 1_000_000 })
    relay.settle()
    expect(relay.mailbox(theReader().mailbox)?.packets).toBe(2)
  })
  test('mends what the disk has lost by a mark, and goes on', () => {
    const first = send()
    send()
    const third = send()
    relay.settle()
    relay.loseFromDisk(mesh.id, theReader().mailbox, 2)
    const reader = relay.login(theReader())
    relay.settle()
    expect(reader.got.map((item) => item.packet)).toEqual([first.bytes, third.bytes])
    expect(reader.frame('lost')).toEqual({ type: 'lost', count: 1 })
  })
})

describe('a full disk', () => {
  test('refuses what cannot be kept, goes on forwarding, and takes packets again when it has room', () => {
    relay.feed({ type: 'disk', trouble: 'DISK_FULL' })
    expect(sender.outcome(send().id)).toBe('DISK_FULL')
    const reader = relay.login(theReader())
    relay.settle()
    expect(sender.outcome(send().id)).toBe('delivered')
    relay.drop(reader)
    relay.feed({ type: 'disk', trouble: null })
    const packet = send()
    relay.settle()
    expect(sender.outcome(packet.id)).toBe('stored')
  })
  test('that shows while writing refuses the packets that it did not take', () => {
    const packets = [send(), send()]
    relay.failCommit('DISK_FULL')
    expect(packets.map(({ id }) => sender.outcome(id))).toEqual(['DISK_FULL', 'DISK_FULL'])
    expect(relay.storedBytes(theReader().mailbox)).toBe(0)
  })
})

describe('a slow reader', () => {
  test('is spilled to its mailbox at its cap, and gets the rest as it acknowledges', () => {
    begin({ unackedBytesMax: 4_000 })
    const reader = relay.login(theReader())
    const packets = Array.from({ length: 10 }, () => send(900))
    relay.settle()
    const outcomes = packets.map(({ id }) => sender.outcome(id))
    expect(outcomes).toEqual([...Array(4).fill('delivered'), ...Array(6).fill('stored')])
    for (let i = 0; i < 5; i++) {
      reader.acknowledge()
      relay.settle()
    }
    expect(reader.got.map((item) => item.packet)).toEqual(packets.map((packet) => packet.bytes))
    expect(sender.outcome(send(900).id)).toBe('delivered')
  })
  test('T-peer-5: is cut when it stops, and finds everything at its next visit', () => {
    begin({ unackedBytesMax: 4_000, stallMs: 10_000 })
    const reader = relay.login(theReader())
    const packets = Array.from({ length: 10 }, () => send(900))
    relay.settle()
    relay.nowMs += 10_000
    reader.say({ type: 'ping', number: 1 })
    relay.feed({ type: 'tick' })
    expect(reader.goodbye).toBe('READER_STALLED')
    relay.settle()
    const again = relay.login(theReader())
    for (let i = 0; i < 5; i++) {
      relay.settle()
      again.acknowledge()
    }
    expect(again.got.map((item) => item.packet)).toEqual(packets.map((packet) => packet.bytes))
  })
  test('that owes nothing is left in peace', () => {
    const reader = relay.login(theReader())
    relay.nowMs += 60_000
    reader.say({ type: 'ping', number: 1 })
    relay.feed({ type: 'tick' })
    expect(reader.open).toBe(true)
  })
})

describe('a sender', () => {
  test('whose packets wait for the disk is not read until they are answered', () => {
    begin({ unansweredBytesMax: 4_000 })
    for (let i = 0; i < 6; i++) send(900)
    expect(sender.paused).toBe(true)
    relay.settle()
    expect(sender.paused).toBe(false)
  })
  test('over its rate is told once and not read until that has run off; nothing of it is refused', () => {
    begin({ loginSendBytesPerSecond: 2_000 })
    relay.login(theReader())
    const other = relay.login(mesh.member('other'))
    for (let i = 0; i < 4; i++) send(900)
    expect([sender.paused, sender.frame('notice')]).toEqual([false, undefined])
    for (let i = 0; i < 3; i++) send(900)
    expect(sender.paused).toBe(true)
    expect(sender.frames.filter(({ type }) => type === 'notice')).toEqual([
      { type: 'notice', reason: 'SLOWED', retryAfterMs: 0 },
    ])
    expect(other.paused).toBe(false)
    relay.settle()
    relay.nowMs += 1_000
    relay.feed({ type: 'tick' })
    expect([sender.paused, sender.answers.size]).toEqual([true, 7])
    relay.nowMs += 1_000
    relay.feed({ type: 'tick' })
    expect(sender.paused).toBe(false)
  })
  test('whose packets have to be kept is over its rate with half as much, and goes on as soon as there is room', () => {
    begin({ loginSendBytesPerSecond: 2_000 })
    for (let i = 0; i < 2; i++) send(900)
    expect(sender.paused).toBe(false)
    send(900)
    expect(sender.paused).toBe(true)
    relay.settle()
    relay.nowMs += 500
    relay.feed({ type: 'pace' })
    expect(sender.paused).toBe(true)
    relay.nowMs += 250
    relay.feed({ type: 'pace' })
    expect([sender.paused, relay.state.slowed.size]).toEqual([false, 0])
  })
  test('that is over its rate and waits for the disk is read again when neither holds', () => {
    begin({ loginSendBytesPerSecond: 2_000, unansweredBytesMax: 4_000 })
    for (let i = 0; i < 6; i++) send(900)
    relay.nowMs += 5_000
    relay.feed({ type: 'tick' })
    expect(sender.paused).toBe(true)
    relay.settle()
    expect(sender.paused).toBe(false)
  })
  test('that has been silent for more than a minute is cut', () => {
    relay.nowMs += 70_000
    relay.feed({ type: 'tick' })
    expect(sender.goodbye).toBe('RELAY_CLOSED')
  })
})

describe('the same login twice', () => {
  test('T-clone-2: makes the newest active; the older is told, gets nothing, and may not send', () => {
    const older = relay.login(theReader())
    const newer = relay.login(theReader())
    expect(older.frame('notice')).toEqual({ type: 'notice', reason: 'DUPLICATE_LOGIN', retryAfterMs: 0 })
    expect(older.open).toBe(true)
    send()
    expect([older.got.length, newer.got.length]).toEqual([0, 1])
    const packet = mesh.packet([theSender().mailbox], relay.nowMs + 1e6)
    older.send(packet.bytes)
    expect(older.outcome(packet.id)).toBe('DUPLICATE_LOGIN')
  })
  test('tells the newer of an older one that still lives, once, and not of one that was left behind', () => {
    const older = relay.login(theReader())
    const newer = relay.login(theReader())
    older.say({ type: 'ping', number: 1 })
    // Before each pong, so that a node can tell a frame that was made up.
    expect(older.frames.slice(-2)).toEqual([
      { type: 'notice', reason: 'DUPLICATE_LOGIN', retryAfterMs: 0 },
      { type: 'pong', number: 1 },
    ])
    expect(newer.frame('notice')).toBeUndefined()
    relay.nowMs += 20_000
    older.say({ type: 'ping', number: 2 })
    older.say({ type: 'ping', number: 3 })
    expect(newer.frame('notice')).toEqual({ type: 'notice', reason: 'HOME_COPIED', retryAfterMs: 0 })
    expect(newer.frames.filter(({ type }) => type === 'notice')).toHaveLength(1)
  })
  test('lets the older go on when the newest leaves, with all that was not acknowledged', () => {
    const older = relay.login(theReader())
    const newer = relay.login(theReader())
    const packet = send()
    relay.drop(newer)
    expect(older.frame('notice')?.reason).toBeNull()
    expect(older.got.map((item) => item.packet)).toEqual([packet.bytes])
  })
  test('does not mix up reads from disk that were asked for before a change of readers', () => {
    begin({ unackedBytesMax: 4_000 })
    const packets = Array.from({ length: 8 }, () => send(900))
    relay.settle()
    const older = relay.login(theReader())
    relay.settle()
    // It has room for the fifth now, and the disk is asked for it.
    older.say({ type: 'ack', sequence: 1 })
    relay.drop(relay.login(theReader()))
    // Active again it begins with the second: the answer with the fifth alone is no longer what it waits for.
    for (let i = 0; i < 5; i++) {
      relay.settle()
      older.acknowledge()
    }
    expect(older.got.map((item) => item.packet)).toEqual(packets.slice(1).map((packet) => packet.bytes))
    expect(older.frame('lost')).toBeUndefined()
  })
  test('is bounded: the oldest of many is sent away', () => {
    const clients = Array.from({ length: 7 }, () => relay.login(theReader()))
    expect(clients.map(({ open }) => open)).toEqual([false, false, true, true, true, true, true])
  })
})

test('a stop tells everybody when to come back, each a little later, and keeps what they had in hand', () => {
  const reader = relay.login(theReader())
  const packet = send()
  relay.feed({ type: 'stop' })
  expect([sender.goodbye, reader.goodbye]).toEqual(['RELAY_RESTARTING', 'RELAY_RESTARTING'])
  const waits = [sender.frame('goodbye')?.retryAfterMs ?? 0, reader.frame('goodbye')?.retryAfterMs ?? 0]
  expect(waits[0]).toBeGreaterThan(0)
  expect(waits[1]).toBeGreaterThan(waits[0] ?? 0)
  relay.commit()
  relay.crash()
  const again = relay.login(theReader())
  relay.settle()
  expect(again.got.map((item) => item.packet)).toEqual([packet.bytes])
})

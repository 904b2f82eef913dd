import { PACKET_EXPIRY_MS_MAX } from '@sealmesh/protocol/limits'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { signRevocation } from '@sealmesh/protocol/wire/revocation'
import { loadSodium } from '@sealmesh/sodium/load'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Member, TestMesh } from './mesh.ts'
import { type Client, SimulatedRelay } from './simulated-relay.ts'

/** A node with a mailbox for each day, at a relay that is not told whose they are until it comes. */
let sodium: Sodium
let relay: SimulatedRelay
let mesh: TestMesh
let alice: Member
let bob: Member
/** Bob's, one for each day. */
let days: { readonly mailbox: Member['mailbox']; readonly mailboxSecret: Uint8Array }[]
let sender: Client

function begin(limits: ConstructorParameters<typeof SimulatedRelay>[1] = {}): void {
  relay = new SimulatedRelay(sodium, limits)
  mesh = new TestMesh(sodium, 'daily')
  relay.admit(mesh.id)
  alice = mesh.member('alice')
  bob = mesh.member('bob')
  days = Array.from({ length: 6 }, (_, day) => mesh.member(`bob on day ${day}`))
  sender = relay.login(alice)
}
beforeEach(async () => {
  sodium = await loadSodium()
  begin()
})

const secretsUpTo = (day: number): Uint8Array[] => days.slice(0, day + 1).map(({ mailboxSecret }) => mailboxSecret)
const send = (day: number, bytes = 0, livesMs = 3_600_000) => {
  const packet = mesh.packet([days[day]!.mailbox], relay.nowMs + livesMs, bytes)
  sender.send(packet.bytes)
  return packet
}
const loginOf = (member: Member, ...secrets: readonly Uint8Array[]): Client => {
  const client = relay.connect()
  client.answerAs(member)
  relay.commit()
  client.read(...secrets)
  return client
}
const bytesOf = (packets: readonly { bytes: Uint8Array }[]) => packets.map(({ bytes }) => bytes)
const gotBy = (client: Client) => client.got.map(({ packet }) => packet)

describe('the mailboxes of several days', () => {
  test('take packets before anybody has opened them, and give them out day by day, also after a crash', () => {
    const sent = [send(0), send(0), send(1), send(2), send(2)]
    expect(sent.map(({ id }) => sender.outcome(id))).toEqual(Array(5).fill(undefined))
    relay.commit()
    expect(sent.map(({ id }) => sender.outcome(id))).toEqual(Array(5).fill('stored'))
    relay.crash()
    const reader = loginOf(bob, ...secretsUpTo(3))
    relay.settle()
    expect(gotBy(reader)).toEqual(bytesOf(sent))
    expect(reader.frames.filter(({ type }) => type === 'drained')).toHaveLength(1)
  })
  test('are opened at midnight within the session: nothing comes twice, and nothing is passed by', () => {
    const reader = loginOf(bob, ...secretsUpTo(1))
    const before = [send(0), send(1)]
    reader.read(...secretsUpTo(2))
    const after = [send(1), send(2), send(2)]
    expect([...before, ...after].map(({ id }) => sender.outcome(id))).toEqual(Array(5).fill('delivered'))
    expect(gotBy(reader)).toEqual(bytesOf([...before, ...after]))
    reader.acknowledge()
    relay.settle()
    relay.crash()
    const again = loginOf(bob, ...secretsUpTo(2))
    relay.settle()
    expect(again.got).toEqual([])
  })
  test('are read in their order also while more comes for each of them', () => {
    begin({ unackedBytesMax: 3_000 })
    const first = [send(0, 900), send(0, 900), send(1, 900), send(2, 900)]
    relay.settle()
    const reader = loginOf(bob, ...secretsUpTo(2))
    const later = [send(2, 900), send(2, 900)]
    for (let round = 0; round < 6; round++) {
      relay.settle()
      reader.acknowledge()
    }
    expect(gotBy(reader)).toEqual(bytesOf([...first, ...later]))
  })
  test('that are not named any more go back to the disk with what was in hand, and come again when they are', () => {
    const reader = loginOf(bob, ...secretsUpTo(1))
    const [old, fresh] = [send(0), send(1)]
    reader.read(days[1]!.mailboxSecret)
    relay.settle()
    expect(relay.mailbox(days[0]!.mailbox)).toMatchObject({ packets: 1, reader: null })
    // The number of what was taken back acknowledges nothing of it.
    reader.acknowledge()
    relay.settle()
    expect(relay.mailbox(days[0]!.mailbox)?.packets).toBe(1)
    relay.crash()
    const again = loginOf(bob, ...secretsUpTo(1))
    relay.settle()
    expect(gotBy(again)).toEqual(bytesOf([old]))
    expect(gotBy(reader)).toEqual(bytesOf([old, fresh]))
  })
  test('vanish when they are empty and nobody reads them', () => {
    const reader = loginOf(bob, ...secretsUpTo(4))
    send(0)
    relay.settle()
    reader.acknowledge()
    relay.settle()
    relay.drop(reader)
    expect([...(relay.state.meshes.get(mesh.id)?.mailboxes.keys() ?? [])]).toEqual([alice.mailbox])
    expect(relay.state.meshes.get(mesh.id)).toMatchObject({ unopened: 0, packets: 0, bytes: 0 })
  })
  test('go on under an older connection of the same login, and under the newer before that', () => {
    const older = loginOf(bob, ...secretsUpTo(1))
    const newer = loginOf(bob, ...secretsUpTo(1))
    // At midnight, while it is idle.
    older.read(...secretsUpTo(2))
    const packet = send(1)
    expect([older.got.length, newer.got.length]).toEqual([0, 1])
    relay.drop(newer)
    expect(gotBy(older)).toEqual(bytesOf([packet]))
    expect(sender.outcome(send(2).id)).toBe('delivered')
  })
})

describe('the mailbox of another member', () => {
  test('T-peer-16: an id opens nothing: not its mailbox, and not what it is a hash of', () => {
    const mallory = mesh.member('mallory')
    const packet = send(0)
    relay.settle()
    const thief = loginOf(mallory, Uint8Array.from(Buffer.from(days[0]!.mailbox, 'hex')), mallory.mailboxSecret)
    relay.settle()
    thief.say({ type: 'ack', sequence: 1_000 })
    relay.settle()
    expect(thief.got).toEqual([])
    const reader = loginOf(bob, ...secretsUpTo(0))
    relay.settle()
    expect(gotBy(reader)).toEqual(bytesOf([packet]))
  })
  test('T-peer-16: whoever was given the secret stands aside when its owner comes', () => {
    const accomplice = loginOf(mesh.member('accomplice'), ...secretsUpTo(0))
    const reader = loginOf(bob, ...secretsUpTo(0))
    const packet = send(0)
    expect([accomplice.got.length, gotBy(reader)]).toEqual([0, bytesOf([packet])])
  })
  test('and who stood in for its owner reads on in what is left to it', () => {
    const [, next] = [send(0), send(1)]
    relay.settle()
    const accomplice = loginOf(mesh.member('accomplice'), ...secretsUpTo(1))
    // While the disk is asked for what the first one holds.
    loginOf(bob, ...secretsUpTo(0))
    relay.settle()
    expect(gotBy(accomplice)).toEqual(bytesOf([next]))
    expect(accomplice.frames.filter(({ type }) => type === 'drained')).toHaveLength(1)
  })
  test('T-peer-16: a secret of one mesh opens nothing in another', () => {
    const packet = send(0)
    relay.settle()
    const other = new TestMesh(sodium, 'another mesh')
    relay.admit(other.id)
    const stranger = loginOf(other.member('stranger'), ...secretsUpTo(0))
    relay.settle()
    expect(stranger.got).toEqual([])
    const reader = loginOf(bob, ...secretsUpTo(0))
    relay.settle()
    expect(gotBy(reader)).toEqual(bytesOf([packet]))
  })
})

describe('a member that opens one after the other', () => {
  test('T-peer-5: is sent away, and again when it comes back, until a minute has passed', () => {
    begin({ loginOpensMax: 60 })
    const mallory = mesh.member('mallory')
    const reader = loginOf(mallory, ...secretsUpTo(5))
    // Those that it has named before cost as much.
    for (let n = 0; n < 20; n++) reader.read(...secretsUpTo(5))
    expect(reader.goodbye).toBe('FRAME_UNEXPECTED')
    const others = loginOf(bob, ...secretsUpTo(5))
    expect(loginOf(mallory, ...secretsUpTo(5)).goodbye).toBe('FRAME_UNEXPECTED')
    expect(others.goodbye).toBeUndefined()
    relay.nowMs += 60_000
    expect(loginOf(mallory, ...secretsUpTo(5)).goodbye).toBeUndefined()
  })
})

describe('a member that invents mailboxes', () => {
  const invent = (from: Client, count: number, livesMs = 3_600_000): (string | undefined)[] => {
    const packets = Array.from({ length: count }, (_, n) =>
      mesh.packet([mesh.member(`invented ${from.id} ${n}`).mailbox], relay.nowMs + livesMs),
    )
    from.send(...packets.map(({ bytes }) => bytes))
    relay.settle()
    return packets.map(({ id }) => from.outcome(id))
  }

  test('T-peer-6: is refused beyond its share, while others still reach who is away', () => {
    begin({ loginMailboxesMax: 3, meshMailboxesMax: 8 })
    const mallory = relay.login(mesh.member('mallory'))
    const expected = [...Array(3).fill('stored'), ...Array(2).fill('QUOTA_MAILBOXES')]
    expect(invent(mallory, 5)).toEqual(expected)
    const packet = send(0)
    relay.settle()
    expect(sender.outcome(packet.id)).toBe('stored')
  })
  test('T-peer-6: and its friends together are refused beyond that of the mesh, also after a restart', () => {
    begin({ loginMailboxesMax: 3, meshMailboxesMax: 4 })
    const [one, two] = [relay.login(mesh.member('mallory')), relay.login(mesh.member('accomplice'))]
    invent(one, 3)
    expect(invent(two, 2)).toEqual(['stored', 'QUOTA_MAILBOXES'])
    relay.crash()
    sender = relay.login(alice)
    expect(invent(sender, 1)).toEqual(['QUOTA_MAILBOXES'])
    // Who is here is reached all the same.
    loginOf(bob, ...secretsUpTo(0))
    expect(sender.outcome(send(0).id)).toBe('delivered')
  })
  test('T-peer-6: cannot fill more than the bytes and packets of its mesh, however many it names', () => {
    begin({ meshBytesMax: 2_000 })
    expect(invent(sender, 4)).toEqual(['stored', 'stored', 'QUOTA_BYTES', 'QUOTA_BYTES'])
    begin({ meshPacketsMax: 3 })
    expect(invent(sender, 4)).toEqual(['stored', 'stored', 'stored', 'QUOTA_PACKETS'])
  })
  test('T-peer-6: is forgotten with what it left, marks of loss included', () => {
    begin({ loginMailboxesMax: 3, mailboxPacketsMax: 1 })
    invent(sender, 3, 10_000)
    expect(invent(sender, 3)).toEqual(Array(3).fill('QUOTA_PACKETS'))
    relay.nowMs += 60_000
    relay.feed({ type: 'tick' })
    relay.settle()
    expect(relay.state.meshes.get(mesh.id)).toMatchObject({ unopened: 3, packets: 0 })
    relay.nowMs += PACKET_EXPIRY_MS_MAX
    relay.feed({ type: 'tick' })
    relay.settle()
    expect(relay.state.meshes.get(mesh.id)?.unopened).toBe(0)
    relay.crash()
    expect(relay.state.meshes.get(mesh.id)?.mailboxes.size).toBe(0)
  })
  test('what its owner has read counts for nobody’s share', () => {
    begin({ loginMailboxesMax: 2 })
    send(0)
    send(1)
    expect(sender.outcome(send(2).id)).toBe('QUOTA_MAILBOXES')
    const reader = loginOf(bob, ...secretsUpTo(1))
    relay.settle()
    reader.acknowledge()
    relay.drop(reader)
    const packet = send(2)
    relay.settle()
    expect(sender.outcome(packet.id)).toBe('stored')
  })
})

test('T-revoked-4: what a removed node was reading is gone, and what comes for it lies unread until it expires', () => {
  const admin = mesh.member('admin', { admin: true })
  const hub = relay.login(admin)
  send(0)
  relay.settle()
  const reader = loginOf(bob, ...secretsUpTo(1))
  relay.settle()
  expect(reader.got).toHaveLength(1)
  const revocation = { mesh: mesh.id, loginKey: bob.keys.publicKey, adminKey: null, chain: admin.chain }
  const signed = signRevocation(revocation, admin.sign.secretKey, sodium)
  hub.say({ type: 'revoke', request: 1, revocation: signed })
  relay.settle()
  expect(reader.goodbye).toBe('NODE_REVOKED')
  expect(relay.mailbox(days[0]!.mailbox)).toBeUndefined()
  send(1)
  relay.settle()
  expect(loginOf(bob, ...secretsUpTo(1)).goodbye).toBe('NODE_REVOKED')
  relay.nowMs += 3_700_000
  relay.feed({ type: 'tick' })
  relay.settle()
  expect(relay.mailbox(days[1]!.mailbox)?.packets ?? 0).toBe(0)
})

import type { MailboxId } from '@sealmesh/protocol/ids'
import { loadSodium } from '@sealmesh/sodium/load'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Member, TestMesh } from './mesh.ts'
import { type Client, SimulatedRelay } from './simulated-relay.ts'

/** What a reader had in hand and leaves, in mailboxes that it may have invented: no way around any bound. */
let sodium: Sodium
let relay: SimulatedRelay
let mesh: TestMesh
let alice: Client
let mallory: Client

beforeAll(async () => {
  sodium = await loadSodium()
})
/** Every sum is what its parts say, after whatever a test did. */
afterEach(() => {
  for (const { mailboxes, unopened, bytes, packets } of relay.state.meshes.values()) {
    const all = [...mailboxes.values()]
    const away = all.filter(({ reader }) => reader === null)
    expect(unopened).toBe(away.length)
    expect(bytes).toBe(all.reduce((sum, mailbox) => sum + mailbox.bytes, 0))
    expect(packets).toBe(all.reduce((sum, mailbox) => sum + mailbox.packets, 0))
    for (const login of relay.state.logins.values())
      expect(login.unopened).toBe(away.filter(({ by }) => by === login).length)
  }
})

function begin(limits: ConstructorParameters<typeof SimulatedRelay>[1] = {}): void {
  relay = new SimulatedRelay(sodium, limits)
  mesh = new TestMesh(sodium, 'left behind')
  relay.admit(mesh.id)
  alice = relay.login(mesh.member('alice'))
  mallory = relay.login(mesh.member('mallory'))
}
const invented = (count: number, of = 'mallory'): Member[] =>
  Array.from({ length: count }, (_, n) => mesh.member(`${of} invents ${n}`))
const open = (client: Client, members: readonly Member[]): void =>
  client.read(...members.map(({ mailboxSecret }) => mailboxSecret))
function send(from: Client, to: MailboxId, bytes = 0): string | undefined {
  const packet = mesh.packet([to], relay.nowMs + 3_600_000, bytes)
  from.send(packet.bytes)
  relay.settle()
  return from.outcome(packet.id)
}
const ofMesh = () => relay.state.meshes.get(mesh.id)!

describe('a member that reads what it invents', () => {
  test('T-peer-6: leaves no more on disk than its mesh may have, however often it opens and closes', () => {
    begin({ meshBytesMax: 10_000, meshMailboxesMax: 1_000, loginMailboxesMax: 1_000 })
    for (const one of invented(20)) {
      open(mallory, [one])
      for (let n = 0; n < 3; n++) expect(send(mallory, one.mailbox, 900)).toBe('delivered')
    }
    open(mallory, [])
    relay.settle()
    expect(ofMesh().bytes).toBeGreaterThan(5_000)
    expect(ofMesh().bytes).toBeLessThanOrEqual(10_000)
    relay.crash()
    expect(ofMesh().bytes).toBeLessThanOrEqual(10_000)
  })
  test('T-peer-6: and no more packets, nor more of one mailbox, by coming again and again', () => {
    begin({ mailboxPacketsMax: 4 })
    const [one] = invented(1)
    for (let visit = 0; visit < 5; visit++) {
      open(mallory, [one!])
      relay.settle()
      for (let n = 0; n < 3; n++) send(mallory, one!.mailbox)
      open(mallory, [])
      relay.settle()
    }
    expect(relay.mailbox(one!.mailbox)?.packets).toBe(4)
    begin({ meshPacketsMax: 4 })
    const two = invented(2)
    open(mallory, two)
    for (const { mailbox } of [...two, ...two, ...two]) send(mallory, mailbox)
    relay.drop(mallory)
    relay.settle()
    expect(ofMesh().packets).toBe(4)
  })
  test('T-peer-6: leaves no more mailboxes than its share, nor marks, and others still reach who is away', () => {
    begin({ loginMailboxesMax: 3, meshMailboxesMax: 8 })
    for (const one of invented(12)) {
      open(mallory, [one])
      expect(send(mallory, one.mailbox)).toBe('delivered')
    }
    open(mallory, [])
    relay.settle()
    expect(ofMesh()).toMatchObject({ unopened: 3, packets: 3 })
    expect(send(alice, mesh.member('bob').mailbox)).toBe('stored')
  })
  test('T-peer-6: leaves none at all where the mesh has as many as it may', () => {
    begin({ meshMailboxesMax: 2 })
    for (const { mailbox } of invented(2, 'alice')) send(alice, mailbox)
    for (const one of invented(4)) {
      open(mallory, [one])
      send(mallory, one.mailbox)
    }
    open(mallory, [])
    relay.settle()
    expect(ofMesh()).toMatchObject({ unopened: 2, packets: 2 })
  })
  test('T-peer-6: cannot have them kept as those of a reader that is slow, beyond what it opens at once', () => {
    begin({ loginMailboxesMax: 3, unackedBytesMax: 1_000, meshBytesMax: 20_000 })
    const [full, ...rest] = invented(13)
    open(mallory, [full!])
    send(mallory, full!.mailbox, 900)
    const outcomes = rest.map((one) => {
      open(mallory, [full!, one])
      return send(mallory, one.mailbox)
    })
    expect(outcomes).toEqual([...Array(3).fill('stored'), ...Array(9).fill('QUOTA_MAILBOXES')])
    open(mallory, [full!])
    expect(ofMesh()).toMatchObject({ unopened: 3 })
  })
  test('T-peer-6: has its share used up by what it or a friend opens and leaves', () => {
    begin({ loginMailboxesMax: 4, meshMailboxesMax: 20 })
    const friend = relay.login(mesh.member('friend'))
    for (let round = 0; round < 5; round++) {
      const ones = invented(4, `in round ${round} mallory`)
      for (const { mailbox } of ones) send(mallory, mailbox)
      for (const client of [mallory, friend]) {
        open(client, ones)
        relay.settle()
        open(client, [])
        relay.settle()
      }
    }
    expect(ofMesh().unopened).toBe(4)
    expect(send(alice, mesh.member('bob').mailbox)).toBe('stored')
  })
})

describe('a node that leaves with much in hand', () => {
  test('finds what there was room for, and a mark for the rest', () => {
    begin({ mailboxPacketsMax: 3 })
    const bob = mesh.member('bob')
    const reader = relay.login(bob)
    for (let n = 0; n < 5; n++) send(alice, bob.mailbox)
    relay.drop(reader)
    relay.settle()
    relay.crash()
    const again = relay.login(bob)
    relay.settle()
    expect(again.got.map(({ packet }) => packet)).toEqual(reader.got.slice(0, 3).map(({ packet }) => packet))
    expect(again.frame('lost')).toEqual({ type: 'lost', count: 2 })
  })
  test('keeps its mail of many days, and may itself send as before', () => {
    begin({ loginMailboxesMax: 6 })
    const days = invented(6, 'bob')
    const bob = relay.login(mesh.member('bob'))
    for (const { mailbox } of days) send(alice, mailbox)
    open(bob, days)
    relay.settle()
    relay.drop(bob)
    relay.settle()
    expect(ofMesh()).toMatchObject({ unopened: 6, packets: 6 })
    const again = relay.login(mesh.member('bob'))
    expect(send(again, mesh.member('carol').mailbox)).toBe('stored')
  })
  test('keeps what others sent beside one whose share is used up', () => {
    begin({ loginMailboxesMax: 2 })
    for (const { mailbox } of invented(2)) send(mallory, mailbox)
    const bob = mesh.member('bob')
    const reader = relay.login(bob)
    for (const from of [mallory, alice]) expect(send(from, bob.mailbox)).toBe('delivered')
    relay.drop(reader)
    relay.settle()
    const again = relay.login(bob)
    relay.settle()
    expect(again.got.map(({ packet }) => packet)).toEqual([reader.got[1]?.packet])
  })
  test('keeps what it had in hand though many that it read are empty, in a mesh that has almost too many', () => {
    begin({ meshMailboxesMax: 3 })
    for (const { mailbox } of invented(2, 'alice')) send(alice, mailbox)
    const days = invented(5, 'bob')
    const bob = relay.login(mesh.member('bob'))
    open(bob, days)
    send(alice, days[2]!.mailbox)
    relay.drop(bob)
    relay.settle()
    expect(relay.mailbox(days[2]!.mailbox)?.packets).toBe(1)
  })
})

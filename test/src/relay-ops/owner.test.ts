import type { Sodium } from '@sealmesh/protocol/sodium'
import { keyName } from '@sealmesh/relay/core/key-name'
import { DEFAULT_LIMITS } from '@sealmesh/relay/core/limits'
import { loadSodium } from '@sealmesh/sodium/load'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Member, TestMesh } from '../relay/mesh.ts'
import { SimulatedRelay } from '../relay/simulated-relay.ts'

/** What an owner does to a relay that runs, in the core alone. */

let sodium: Sodium
let relay: SimulatedRelay
let mesh: TestMesh
let [alice, bob]: Member[] = []

beforeEach(async () => {
  sodium = await loadSodium()
  relay = new SimulatedRelay(sodium)
  mesh = new TestMesh(sodium, 'owner')
  relay.admit(mesh.id)
  alice = mesh.member('alice')
  bob = mesh.member('bob')
})

const the = (member: Member | undefined): Member => member as Member
const toBob = (bytes = 0) => mesh.packet([the(bob).mailbox], relay.nowMs + 3_600_000, bytes)

describe('new limits', () => {
  test('make a mailbox refuse that is over its new quota, and drop nothing of it', () => {
    const sender = relay.login(the(alice))
    const kept = [toBob(), toBob(), toBob()]
    sender.send(...kept.map(({ bytes }) => bytes))
    relay.settle()
    relay.feed({ type: 'limits', limits: { ...DEFAULT_LIMITS, mailboxPacketsMax: 2 } })
    const refused = toBob()
    sender.send(refused.bytes)
    relay.settle()
    expect(sender.outcome(refused.id)).toBe('QUOTA_PACKETS')
    const reader = relay.login(the(bob))
    relay.settle()
    expect(reader.got.map(({ packet }) => packet)).toEqual(kept.map(({ bytes }) => bytes))
  })

  test('give a reader at its cap more at once, without waiting for what it acknowledges', () => {
    relay.feed({ type: 'limits', limits: { ...DEFAULT_LIMITS, unackedBytesMax: 1 } })
    const reader = relay.login(the(bob))
    const sender = relay.login(the(alice))
    for (let n = 0; n < 4; n++) sender.send(toBob().bytes)
    relay.settle()
    expect(reader.got).toHaveLength(1)
    relay.feed({ type: 'limits', limits: DEFAULT_LIMITS })
    relay.settle()
    expect(reader.got).toHaveLength(4)
  })

  test('let a sender go on that was not read, once it is under them', () => {
    relay.feed({ type: 'limits', limits: { ...DEFAULT_LIMITS, unansweredBytesMax: 1_000 } })
    const sender = relay.login(the(alice))
    sender.send(toBob(2_000).bytes)
    expect(sender.paused).toBe(true)
    relay.feed({ type: 'limits', limits: DEFAULT_LIMITS })
    expect(sender.paused).toBe(false)
  })
})

describe('evicting', () => {
  test('a mesh ends all its connections and no other, and keeps what is stored', () => {
    const other = new TestMesh(sodium, 'other')
    relay.admit(other.id)
    const stays = relay.login(other.member('carol'))
    const sender = relay.login(the(alice))
    sender.send(toBob().bytes)
    relay.settle()
    relay.feed({ type: 'evict', target: { type: 'mesh', mesh: mesh.id }, mailboxes: false })
    expect(sender.goodbye).toBe('RELAY_CLOSED')
    expect(stays.open).toBe(true)
    const reader = relay.login(the(bob))
    relay.settle()
    expect(reader.got).toHaveLength(1)
  })

  test('a login ends its sessions, not those of its mesh', () => {
    const [first, second] = [relay.login(the(alice)), relay.login(the(bob))]
    const login = keyName(the(alice).keys.publicKey, sodium)
    relay.feed({ type: 'evict', target: { type: 'login', login }, mailboxes: false })
    expect([first.goodbye, second.goodbye]).toEqual(['RELAY_CLOSED', undefined])
  })

  test('with its mailboxes drops what is stored, and leaves a mark for the reader', () => {
    const sender = relay.login(the(alice))
    for (let n = 0; n < 3; n++) sender.send(toBob().bytes)
    relay.settle()
    relay.feed({ type: 'evict', target: { type: 'mesh', mesh: mesh.id }, mailboxes: true })
    relay.settle()
    expect(relay.storedBytes(the(bob).mailbox)).toBe(0)
    relay.crash()
    const reader = relay.login(the(bob))
    relay.settle()
    expect(reader.got).toEqual([])
    expect(reader.frame('lost')?.count).toBe(3)
  })

  test('with its mailboxes takes from the disk what a reader has in hand, too', () => {
    const sender = relay.login(the(alice))
    sender.send(toBob().bytes)
    relay.settle()
    const reader = relay.login(the(bob))
    relay.settle()
    expect(reader.got).toHaveLength(1)
    relay.feed({ type: 'evict', target: { type: 'mesh', mesh: mesh.id }, mailboxes: true })
    relay.settle()
    const again = relay.login(the(bob))
    relay.settle()
    expect(again.got).toEqual([])
  })
})

describe('a mesh that is not admitted any more', () => {
  test('is shown out and stays out, also after a restart, until its owner lets it in again', () => {
    const here = relay.login(the(alice))
    relay.feed({ type: 'expel', mesh: mesh.id })
    expect(here.goodbye).toBe('MESH_NOT_ADMITTED')
    relay.settle()
    for (const begin of [() => undefined, () => relay.crash()]) {
      begin()
      const refused = relay.login(the(alice))
      expect(['MESH_NOT_ADMITTED', 'CLAIM_REQUIRED']).toContain(refused.goodbye)
    }
    relay.feed({ type: 'admit', mesh: mesh.id })
    expect(relay.login(the(alice)).goodbye).toBeUndefined()
  })

  test('still holds what was stored, and those who were removed stay removed', () => {
    const sender = relay.login(the(alice))
    sender.send(toBob().bytes)
    relay.settle()
    const packets = relay.state.meshes.get(mesh.id)?.packets
    relay.feed({ type: 'expel', mesh: mesh.id })
    relay.settle()
    relay.crash()
    expect(relay.state.meshes.get(mesh.id)).toMatchObject({ barred: true, packets })
    expect(packets).toBe(1)
  })
})

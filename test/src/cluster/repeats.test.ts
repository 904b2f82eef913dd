import type { Sodium } from '@sealmesh/protocol/sodium'
import { REPEAT_MS, REPEATS_MAX, type Repeats, remember } from '@sealmesh/relay/core/repeats'
import { loadSodium } from '@sealmesh/sodium/load'
import { beforeEach, expect, test } from 'vitest'
import { type Member, TestMesh } from '../relay/mesh.ts'
import { type Client, SimulatedRelay } from '../relay/simulated-relay.ts'

/** A relay that remembers what it has stored, as those of a cluster do. */
let sodium: Sodium
let relay: SimulatedRelay
let mesh: TestMesh
let alice: Member
let bob: Member
let carol: Member
let sender: Client

beforeEach(async () => {
  sodium = await loadSodium()
  relay = new SimulatedRelay(sodium, { mailboxPacketsMax: 2 })
  relay.state.repeats = new Map()
  mesh = new TestMesh(sodium, 'repeats')
  relay.admit(mesh.id)
  ;[alice, bob, carol] = ['alice', 'bob', 'carol'].map((name) => mesh.member(name)) as [Member, Member, Member]
  sender = relay.login(alice)
})

const again = (bytes: Uint8Array): Client => {
  relay.drop(sender)
  sender = relay.login(alice)
  sender.send(bytes)
  relay.settle()
  return sender
}
/** It comes, and has all that lies there. */
const reads = (member: Member): Client => {
  const reader = relay.login(member)
  relay.settle()
  return reader
}
const waiting = (of: Member): number => relay.state.meshes.get(mesh.id)?.mailboxes.get(of.mailbox)?.packets ?? 0

test('a packet whose sender heard no answer and sends it again is stored once, and answered as stored', () => {
  const packet = mesh.packet([bob.mailbox], relay.nowMs + 3_600_000)
  sender.send(packet.bytes)
  relay.settle()
  expect(again(packet.bytes).outcome(packet.id)).toBe('stored')
  expect(waiting(bob)).toBe(1)
  expect(reads(bob).got).toHaveLength(1)
})

test('so is one that its reader has taken meanwhile, until the window is over', () => {
  const packet = mesh.packet([bob.mailbox], relay.nowMs + 3_600_000)
  sender.send(packet.bytes)
  relay.settle()
  const reader = reads(bob)
  reader.acknowledge()
  relay.drop(reader)
  relay.settle()
  again(packet.bytes)
  expect(waiting(bob)).toBe(0)
  relay.nowMs += REPEAT_MS
  again(packet.bytes)
  expect(waiting(bob)).toBe(1)
})

test('one that was not stored is stored when it comes again, also for one of several recipients', () => {
  for (let at = 0; at < 2; at++) sender.send(mesh.packet([carol.mailbox], relay.nowMs + 3_600_000).bytes)
  relay.settle()
  const packet = mesh.packet([bob.mailbox, carol.mailbox], relay.nowMs + 3_600_000)
  sender.send(packet.bytes)
  relay.settle()
  expect([waiting(bob), waiting(carol)]).toEqual([1, 2])
  const reader = reads(carol)
  reader.acknowledge()
  relay.drop(reader)
  relay.settle()
  again(packet.bytes)
  expect([waiting(bob), waiting(carol)]).toEqual([1, 1])
})

test('another packet under the same id is none: nobody keeps a packet out by its id', () => {
  const packet = mesh.packet([bob.mailbox], relay.nowMs + 3_600_000)
  const forged = Uint8Array.from(packet.bytes)
  forged[forged.length - 1]! ^= 1
  const mallory = relay.login(carol)
  mallory.send(forged)
  relay.settle()
  sender.send(packet.bytes)
  relay.settle()
  expect(sender.outcome(packet.id)).toBe('stored')
  expect(reads(bob).got.map((item) => item.packet)).toEqual([forged, packet.bytes])
})

test('what is remembered is bounded, and is what came last', () => {
  const repeats: Repeats = new Map()
  let most = 0
  for (let number = 0; number < 4 * REPEATS_MAX; number++) {
    remember(repeats, `${number}.`, 0, number)
    most = Math.max(most, repeats.size)
  }
  expect(most).toBeLessThanOrEqual(1.25 * REPEATS_MAX)
  const kept = [...repeats.values()]
  expect(kept.length).toBeGreaterThanOrEqual(REPEATS_MAX)
  expect(kept).toEqual(Array.from(kept, (_, at) => 4 * REPEATS_MAX - kept.length + at))
})

import { stepRelay } from '@sealmesh/relay/core/relay'
import type { Slab } from '@sealmesh/relay/core/slabs'
import { decodeFrame, encodeFrame } from '@sealmesh/protocol/wire/frame'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { TestMesh } from './mesh.ts'
import { SimulatedRelay } from './simulated-relay.ts'

/** Memory of a packet that was in a reader's hand is used again: never while a socket or the disk may still need it. */

test('what waits in a socket stays as it was when its reader acknowledges it too early and others send more', async () => {
  const sodium = await loadSodium()
  const relay = new SimulatedRelay(sodium)
  const mesh = new TestMesh(sodium, 'in hand')
  relay.admit(mesh.id)
  const bob = mesh.member('bob')
  relay.login(bob)
  const sender = relay.login(mesh.member('alice'))
  const send = (): Uint8Array => {
    const { bytes } = mesh.packet([bob.mailbox], relay.nowMs + 3_600_000, 2_000)
    sender.send(bytes)
    return bytes
  }
  const first = Uint8Array.from(send())
  // The same login again: it takes over what the older one has in hand, before the disk has that.
  const newer = relay.connect()
  newer.answerAs(bob)
  relay.commit()
  const world = { sodium, secretKey: sodium.signKeys('sign', new Uint8Array(32)).secretKey }
  const step = (frame: Parameters<typeof newer.say>[0]) =>
    stepRelay(
      relay.state,
      { type: 'frame', connection: newer.id, frame, claims: [] },
      { ...world, nowMs: relay.nowMs, steadyMs: 1 },
    )
  const delivered = step({ type: 'open', secrets: [bob.mailboxSecret] }).flatMap((effect) =>
    effect.type === 'deliver' ? [effect.packet] : [],
  )
  expect(delivered.map(({ packet }) => Uint8Array.from(packet))).toEqual([first])
  step({ type: 'ack', sequence: delivered.at(-1)?.sequence ?? 0 })
  for (let i = 0; i < 4; i++) send()
  expect(delivered.map(({ packet }) => Uint8Array.from(packet))).toEqual([first])
})

test('a packet for several readers stays as it was until the last of them has acknowledged it', async () => {
  const sodium = await loadSodium()
  const relay = new SimulatedRelay(sodium)
  const mesh = new TestMesh(sodium, 'in hand')
  relay.admit(mesh.id)
  const [bob, carol] = [mesh.member('bob'), mesh.member('carol')]
  const readers = [relay.login(bob), relay.login(carol)] as const
  const sender = relay.login(mesh.member('alice'))
  const packetFor = (...mailboxes: (typeof bob)['mailbox'][]): Uint8Array => {
    const { bytes } = mesh.packet(mailboxes, relay.nowMs + 3_600_000, 2_000)
    sender.send(bytes)
    return Uint8Array.from(bytes)
  }
  const first = packetFor(bob.mailbox, carol.mailbox)
  readers[0].acknowledge()
  for (let i = 0; i < 4; i++) packetFor(bob.mailbox)
  // It goes without having read it: what is put back is what was sent.
  relay.drop(readers[1])
  relay.settle()
  const again = relay.login(carol)
  relay.settle()
  expect(again.got.map(({ packet }) => Uint8Array.from(packet))).toEqual([first])
})

test('a packet that fills the memory of its message stays there: until it is acknowledged, or on disk', async () => {
  const sodium = await loadSodium()
  const relay = new SimulatedRelay(sodium)
  const mesh = new TestMesh(sodium, 'in hand')
  relay.admit(mesh.id)
  const bob = mesh.member('bob')
  const reader = relay.login(bob)
  const sender = relay.login(mesh.member('alice'))
  const { slabs } = relay.state
  /** As a driver has it that reads into slabs. */
  const send = (): { slab: Slab; sent: Uint8Array } => {
    const { bytes } = mesh.packet([bob.mailbox], relay.nowMs + 3_600_000, 2_000)
    const message = encodeFrame({ type: 'send', packets: [bytes] })
    const slab = slabs.copy(message)
    slab.holders += 1
    const frame = decodeFrame(slab.memory.subarray(0, slab.length))
    if (!frame.ok) throw new Error('no frame')
    relay.feed({ type: 'frame', connection: sender.id, frame: frame.value, claims: [], slab })
    slabs.release(slab)
    return { slab, sent: bytes }
  }
  const { slab } = send()
  expect(slab.holders).toBe(1)
  expect(reader.got.at(-1)?.packet.length).toBe(2_000)
  const free = slabs.freeBytes
  reader.acknowledge()
  expect(slab.holders).toBe(0)
  expect(slabs.freeBytes).toBe(free + slab.memory.length)

  const second = send()
  expect(second.slab).toBe(slab)
  relay.drop(reader)
  expect(slab.holders).toBe(1)
  relay.settle()
  expect(slab.holders).toBe(0)
  expect(slab.isLent).toBe(false)
  slab.memory.fill(0)
  const again = relay.login(bob)
  relay.settle()
  expect(again.got.map(({ packet }) => Uint8Array.from(packet))).toEqual([second.sent])
})

import { concatBytes } from '@sealmesh/protocol/bytes'
import { BoxCache } from '@sealmesh/protocol/envelope/box-cache'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { openPacket } from '@sealmesh/protocol/envelope/open'
import { commitmentTo, makeContentKey } from '@sealmesh/protocol/envelope/seal'
import type { MeshId, PacketId } from '@sealmesh/protocol/ids'
import type { SealPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { TAGS } from '@sealmesh/protocol/tags'
import { loadSodium } from '@sealmesh/sodium/load'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Craft, craft, rightParts, takeApart } from './crafted-packet.ts'
import { Scene } from './scene.ts'

const sodium: Sodium = await loadSodium()
const newScene = () => {
  const scene = new Scene(sodium, 'attacks', 3)
  return { scene, alice: scene.member(0), bob: scene.member(1), mallory: scene.member(2) }
}

describe('a packet that somebody made or changed', () => {
  test('is opened when all of its parts are right', () => {
    const { scene, alice, bob } = newScene()
    const packet = craft(scene, rightParts(scene, alice, bob))
    expect(openPacket(packet, scene.context(bob), sodium)).toMatchObject({ ok: true, value: { sender: alice.node } })
  })

  test('T-peer-7: a recipient cannot seal the sender’s words to another', () => {
    const { scene, alice, bob, mallory } = newScene()
    const { inside, signature } = takeApart(scene, scene.seal(alice, [mallory]), mallory)
    const parts = rightParts(scene, alice, bob)
    const commitment = commitmentTo(parts.contentKey, sodium)
    // As they were said to her; and with everything turned to Bob that the signature should hold fast.
    for (const words of [
      inside,
      { ...inside, commitment },
      { ...inside, commitment, recipients: parts.inside.recipients },
    ]) {
      const resealed = craft(scene, { ...parts, inside: words, signature: () => signature })
      expect(openPacket(resealed, scene.context(bob), sodium)).toMatchObject({ error: { code: 'PACKET_SIGNATURE' } })
    }
  })

  test('T-peer-7: cannot have the sender’s own signature speak of another recipient or prekey', () => {
    const { scene, alice, bob, mallory } = newScene()
    const parts = rightParts(scene, alice, bob)
    const [bound] = parts.inside.recipients
    for (const recipients of [
      [{ ...bound!, node: mallory.node }],
      [{ ...bound!, prekey: mallory.prekey.publicKey }],
      [bound!, { ...bound!, node: mallory.node }],
      [],
    ]) {
      const packet = craft(scene, { ...parts, inside: { ...parts.inside, recipients } })
      expect(openPacket(packet, scene.context(bob), sodium)).toMatchObject({
        error: { code: 'PACKET_RECIPIENT_SWAPPED' },
      })
    }
  })

  test('T-disk-2: with a stolen prekey one can read, but not speak as another', () => {
    const { scene, alice, bob, mallory } = newScene()
    const forged = craft(scene, { ...rightParts(scene, alice, bob), signKey: mallory.sign.secretKey })
    expect(openPacket(forged, scene.context(bob), sodium)).toMatchObject({ error: { code: 'PACKET_SIGNATURE' } })
  })

  test('T-disk-1: what was sealed to a destroyed prekey stays closed', () => {
    const { scene, alice, bob } = newScene()
    const packet = scene.seal(alice, [bob])
    const newer = sodium.sealKeys(scene.random(32))
    const opened = openPacket(packet, scene.context(bob, { prekeys: [newer] }), sodium)
    expect(opened).toEqual({ ok: false, error: { code: 'PACKET_BOX_CLOSED' } })
    expect(openPacket(packet, scene.context(bob, { prekeys: [newer, bob.prekey] }), sodium).ok).toBe(true)
  })

  test('T-relay-3: a signature on the same bytes under another tag, or none, is no signature', () => {
    const { scene, alice, bob } = newScene()
    const parts = rightParts(scene, alice, bob)
    for (const tag of [new Uint8Array(), TAGS.record, TAGS.block, TAGS.relayLogin]) {
      const packet = craft(scene, {
        ...parts,
        signature: ({ header, signed }) =>
          sodium.sign(concatBytes(tag, Buffer.from(scene.mesh, 'hex'), header, signed), alice.sign.secretKey),
      })
      expect(openPacket(packet, scene.context(bob), sodium)).toMatchObject({ error: { code: 'PACKET_SIGNATURE' } })
    }
  })

  test('T-relay-3: is refused in another mesh, even where the keys are the same', () => {
    const { scene, alice, bob } = newScene()
    const context = scene.context(bob, { mesh: 'ab'.repeat(32) as MeshId })
    expect(openPacket(scene.seal(alice, [bob]), context, sodium)).toMatchObject({ error: { code: 'PACKET_SIGNATURE' } })
  })

  test('T-relay-3: from nobody in the log is told apart from a bad signature', () => {
    const { scene, alice, bob } = newScene()
    const opened = openPacket(scene.seal(alice, [bob]), scene.context(bob, { signKeyOf: () => undefined }), sodium)
    expect(opened).toEqual({ ok: false, error: { code: 'PACKET_SENDER_UNKNOWN', sender: alice.node } })
  })

  test('T-relay-2: for others is not for us', () => {
    const { scene, alice, bob, mallory } = newScene()
    expect(openPacket(scene.seal(alice, [bob]), scene.context(mallory), sodium)).toEqual({
      ok: false,
      error: { code: 'PACKET_NOT_FOR_US' },
    })
  })

  test('T-relay-2: with the header of one packet and the body of another is corrupt, though both share a content key', () => {
    const { scene, alice, bob } = newScene()
    const content = makeContentKey([bob.prekey.publicKey], scene.random, sodium)
    const [one, two] = ['11', '22'].map((byte) =>
      scene.seal(alice, [bob], { content, packetId: byte.repeat(16) as PacketId }),
    )
    const at = headerLength(one!)
    const spliced = concatBytes(one!.subarray(0, at), two!.subarray(at))
    for (const boxCache of [new BoxCache(), warm(scene)])
      expect(openPacket(spliced, scene.context(bob, { boxCache }), sodium)).toEqual({
        ok: false,
        error: { code: 'PACKET_CORRUPT' },
      })
    function warm(of: Scene): BoxCache {
      const cache = new BoxCache()
      expect(openPacket(one!, of.context(bob, { boxCache: cache }), sodium).ok).toBe(true)
      return cache
    }
  })

  test('T-peer-8: cannot show two recipients two plaintexts', () => {
    const { scene, alice, bob, mallory } = newScene()
    const parts = rightParts(scene, alice, bob)
    const otherKey = scene.random(32)
    const header = [
      ...parts.header,
      { mailbox: mallory.mailbox, box: sodium.sealBox(otherKey, mallory.prekey.publicKey, scene.random(32))! },
    ].sort((a, b) => (a.mailbox < b.mailbox ? -1 : 1))
    const members = header.map(({ mailbox }) => (mailbox === bob.mailbox ? bob : mallory))
    const recipients = members.map(({ node, prekey }, at) => ({ node, prekey: prekey.publicKey, sequence: at + 1 }))
    // A box with another key opens nothing.
    const packet = craft(scene, { ...parts, header, inside: { ...parts.inside, recipients } })
    expect(openPacket(packet, scene.context(bob), sodium).ok).toBe(true)
    expect(openPacket(packet, scene.context(mallory), sodium)).toMatchObject({ error: { code: 'PACKET_CORRUPT' } })
    // Words signed for a key are not accepted under another, whoever signed them.
    const commitment = commitmentTo(otherKey, sodium)
    const twoFaced = craft(scene, { ...parts, header, inside: { ...parts.inside, recipients, commitment } })
    expect(openPacket(twoFaced, scene.context(bob), sodium)).toMatchObject({ error: { code: 'PACKET_KEY_COMMITMENT' } })
  })

  test('T-peer-8: holds nothing in its padding', () => {
    const { scene, alice, bob } = newScene()
    const parts = rightParts(scene, alice, bob)
    const spoils: Craft['spoil'][] = [
      (padded) => padded.with(-1, 1),
      (padded) => concatBytes(padded, new Uint8Array(32)),
      (padded) => padded.subarray(0, 480),
      () => new Uint8Array(512),
    ]
    for (const spoil of spoils)
      expect(openPacket(craft(scene, { ...parts, spoil: spoil! }), scene.context(bob), sodium).ok).toBe(false)
  })

  test('T-peer-9: to a member with a useless prekey still reaches the others', () => {
    const { scene, alice, bob, mallory } = newScene()
    const broken = { ...mallory, prekey: { ...mallory.prekey, publicKey: new Uint8Array(32) as SealPublicKey } }
    const packet = scene.seal(alice, [bob, broken])
    expect(openPacket(packet, scene.context(bob), sodium).ok).toBe(true)
    expect(openPacket(packet, scene.context(mallory), sodium)).toMatchObject({ error: { code: 'PACKET_BOX_CLOSED' } })
  })
})

describe('every byte of a packet', () => {
  test('T-relay-1: counts: one that is changed is never accepted and never thrown at, whether its boxes are cached or not', () => {
    const { scene, alice, bob, mallory } = newScene()
    const packet = scene.seal(alice, [bob, mallory])
    const boxCache = new BoxCache()
    expect(openPacket(packet, scene.context(bob, { boxCache }), sodium).ok).toBe(true)
    const codes = new Map<string, number>()
    for (let at = 0; at < packet.length; at++)
      for (const context of [scene.context(bob), scene.context(bob, { boxCache })])
        for (const bit of [0x01, 0x80]) {
          const opened = openPacket(packet.with(at, packet[at]! ^ bit), context, sodium)
          if (opened.ok) throw new Error(`Byte ${at} was changed and the packet accepted`)
          codes.set(opened.error.code, (codes.get(opened.error.code) ?? 0) + 1)
        }
    expect([...codes.keys()].sort()).toEqual([
      'PACKET_BOX_CLOSED',
      'PACKET_CORRUPT',
      'PACKET_MALFORMED',
      'PACKET_NOT_FOR_US',
      'PACKET_VERSION',
    ])
  })

  test('T-relay-1: is needed: no beginning of a packet, and none with more behind it, is accepted', () => {
    const { scene, alice, bob } = newScene()
    const packet = scene.seal(alice, [bob])
    for (let length = 0; length < packet.length; length++)
      expect(openPacket(packet.subarray(0, length), scene.context(bob), sodium).ok).toBe(false)
    expect(openPacket(concatBytes(packet, new Uint8Array(1)), scene.context(bob), sodium).ok).toBe(false)
  })

  test('T-relay-1: may be anything: opening never throws', () => {
    const { scene, alice, bob } = newScene()
    const packet = scene.seal(alice, [bob])
    const inside = fc.tuple(fc.nat(packet.length), fc.uint8Array({ maxLength: 200 }))
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), inside, (noise, [at, patch]) => {
        expect(openPacket(noise, scene.context(bob), sodium).ok).toBe(false)
        const patched = packet.slice()
        patched.set(patch.subarray(0, packet.length - at), at)
        const opened = openPacket(patched, scene.context(bob), sodium)
        expect(opened.ok).toBe(Buffer.compare(patched, packet) === 0)
      }),
      { numRuns: 300 },
    )
  })
})

function headerLength(packet: Uint8Array): number {
  const header = readPacketHeader(packet)
  if (!header.ok) throw new Error(header.error.code)
  return header.value.bodyOffset
}

import { readFileSync } from 'node:fs'
import { answerChallenge, isGenuine } from '@sealmesh/node/uplink/greeting'
import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { decodeBlock, verifyBlock } from '@sealmesh/protocol/crdt/block-codec'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { openPacket } from '@sealmesh/protocol/envelope/open'
import type { RelayId } from '@sealmesh/protocol/ids'
import type { LoginPublicKey, SignPublicKey } from '@sealmesh/protocol/keys'
import { decodeRecord, verifyRecord } from '@sealmesh/protocol/membership/record-codec'
import { linkKeys } from '@sealmesh/protocol/pairing/link-keys'
import { openPairingPacket, sealPairingPacket } from '@sealmesh/protocol/pairing/pairing-packet'
import { encodePayload } from '@sealmesh/protocol/sync/payload'
import { acceptMessage } from '@sealmesh/protocol/wire/challenge'
import { decodeFrame, encodeFrame } from '@sealmesh/protocol/wire/frame'
import { loadSodium } from '@sealmesh/sodium/load'
import { describe, expect, test } from 'vitest'
import { PAYLOADS, pairingMessages } from '../decoders/samples.ts'
import { Scene } from '../envelope/scene.ts'
import { PairingScene } from '../pairing/pairing-scene.ts'
import { TestMesh } from '../relay/mesh.ts'
import { SimulatedRelay } from '../relay/simulated-relay.ts'
import { SAMPLES } from '../wire/frame-samples.ts'

/** Every byte of everything that travels, one at a time: the lowest bit, the highest, and all of them. */

const sodium = await loadSodium()
const FLIPS = [0x01, 0x80, 0xff]

function* flipped(bytes: Uint8Array): Generator<{ at: number; changed: Uint8Array }> {
  for (let at = 0; at < bytes.length; at++)
    for (const flip of FLIPS) yield { at, changed: bytes.with(at, bytes[at]! ^ flip) }
}

interface Sample {
  readonly name: string
  readonly bytes: string
}
const vectors = <Vectors>(name: string): Vectors =>
  JSON.parse(readFileSync(new URL(`../../vectors/${name}`, import.meta.url), 'utf8')) as Vectors

describe('one byte of a packet is changed', () => {
  /** What each part of a packet is refused for. Offsets as docs/spec/04-packets.md §2 has them. */
  function codesAt(at: number, recipients: number, reader: number): string[] {
    if (at === 0) return ['PACKET_VERSION']
    if (at < 23) return ['PACKET_CORRUPT'] // Packet id and expiry: what is read with the body is another header.
    if (at === 23)
      return ['PACKET_MALFORMED', 'PACKET_NOT_FOR_US', 'PACKET_CORRUPT', 'PACKET_SIZE', 'PACKET_BOX_CLOSED']
    if (at >= 24 + 112 * recipients) return ['PACKET_CORRUPT']
    const [of, within] = [Math.floor((at - 24) / 112), (at - 24) % 112]
    // Recipients are in order: another mailbox is malformed where it breaks that.
    if (within < 32)
      return of === reader ? ['PACKET_NOT_FOR_US', 'PACKET_MALFORMED'] : ['PACKET_CORRUPT', 'PACKET_MALFORMED']
    return of === reader ? ['PACKET_BOX_CLOSED'] : ['PACKET_CORRUPT']
  }

  test.each(PAYLOADS.map(({ name, items }) => ({ name, payload: encodePayload(items) })))(
    'T-relay-1: that carries $name',
    ({ name, payload }) => {
      const scene = new Scene(sodium, 'flips', 4)
      const [alice, ...others] = scene.members
      // A message is a packet like others: with one payload, and for several.
      const kinds = [
        ['sync', others.slice(0, 1)] as const,
        ...(name === 'records' ? [['message', others] as const] : []),
      ]
      for (const [kind, to] of kinds) {
        const packet = scene.seal(alice!, to, { kind, payload: new Uint8Array([0, ...payload]) })
        const header = readPacketHeader(packet)
        if (!header.ok) throw new Error(header.error.code)
        const reader = header.value.recipients.findIndex(({ mailbox }) => mailbox === to[0]!.mailbox)
        const context = scene.context(to[0]!)
        expect(openPacket(packet, context, sodium).ok).toBe(true)
        const wrong: string[] = []
        for (const { at, changed } of flipped(packet)) {
          const opened = openPacket(changed, context, sodium)
          const code = opened.ok ? 'accepted' : opened.error.code
          if (!codesAt(at, to.length, reader).includes(code)) wrong.push(`byte ${at}: ${code}`)
        }
        expect(wrong).toEqual([])
      }
    },
  )

  const scene = new PairingScene(sodium, 'flips')
  test.each(pairingMessages(scene.machine('new').identity))('T-pairing-5: that carries a $type', (message) => {
    const link = scene.link()
    const to = {
      mailbox: link.inviterMailbox,
      key: linkKeys(link, sodium).packet['to-inviter'],
      expiresMs: link.expiresMs,
    }
    const packet = sealPairingPacket(message, to, scene.random, sodium)
    expect(openPairingPacket(packet, to, sodium)).toEqual(message)
    for (const { at, changed } of flipped(packet))
      if (openPairingPacket(changed, to, sodium) !== undefined) throw new Error(`Byte ${at} was changed and it opened`)
  })
})

describe('one byte of what is signed is changed', () => {
  test.each(vectors<{ good: (Sample & { key: string })[] }>('records.json').good)(
    'T-relay-5: a record, $name',
    ({ bytes, key }) => {
      for (const { at, changed } of flipped(fromHex(bytes))) {
        const read = decodeRecord(changed, sodium)
        if (read.ok) {
          if (verifyRecord(read.value, fromHex(key), sodium)) throw new Error(`Byte ${at} was changed and it verified`)
        } else expect(read.error.code).toMatch(/^RECORD_(MALFORMED|VERSION)$/)
      }
    },
  )

  test.each(vectors<{ good: Sample[] }>('blocks.json').good)('T-peer-1: a block, $name', ({ bytes }) => {
    const { key } = vectors<{ key: string }>('blocks.json')
    for (const { at, changed } of flipped(fromHex(bytes))) {
      const read = decodeBlock(changed, sodium)
      if (read.ok) {
        if (verifyBlock(read.value, fromHex(key) as SignPublicKey, sodium))
          throw new Error(`Byte ${at} was changed and it verified`)
      } else expect(read.error.code).toMatch(/^BLOCK_(MALFORMED|VERSION)$/)
    }
  })
})

describe('one byte of a frame is changed', () => {
  test.each(SAMPLES)('T-relay-6: $name is refused with its code, or says something else', ({ frame }) => {
    const bytes = encodeFrame(frame)
    for (const { at, changed } of flipped(bytes)) {
      const read = decodeFrame(changed)
      if (!read.ok) expect(read.error.code).toMatch(/^(FRAME_MALFORMED|FRAME_SIZE|VERSION_MISMATCH)$/)
      else if (Buffer.compare(encodeFrame(read.value), bytes) === 0) throw new Error(`Byte ${at} says nothing`)
    }
  })

  test('T-stranger-1: a login lets nobody in', () => {
    const mesh = new TestMesh(sodium, 'flips')
    const member = mesh.member('node', { by: mesh.member('founder', { admin: true }) })
    const relay = new SimulatedRelay(sodium)
    relay.admit(mesh.id)
    const answer = (client: ReturnType<SimulatedRelay['connect']>): Uint8Array =>
      encodeFrame(answerChallenge(client.frame('challenge')!, member.login, new Uint8Array(32).fill(5), sodium))
    const { length } = answer(relay.connect())
    const codes = new Set<string>()
    for (let at = 0; at < length; at++)
      for (const flip of FLIPS) {
        const client = relay.connect()
        const login = answer(client)
        const read = decodeFrame(login.with(at, login[at]! ^ flip))
        if (read.ok) {
          relay.feed({ type: 'frame', connection: client.id, frame: read.value, claims: [] })
          relay.commit()
          if (client.frame('welcome') !== undefined) throw new Error(`Byte ${at} was changed and the login taken`)
        }
        codes.add(read.ok ? (client.goodbye ?? 'no answer') : read.error.code)
        relay.drop(client)
        relay.nowMs += 60_000 // Failures of one address are counted for a minute.
      }
    expect([...codes].sort()).toEqual(['FRAME_MALFORMED', 'LOGIN_SIGNATURE', 'VERSION_MISMATCH'])
  })

  test('T-network-1: a welcome is not that relay’s, unless it says less of what nobody relies on', () => {
    const keys = sodium.signKeys('sign', new Uint8Array(32).fill(7))
    const session = {
      relay: toHex(keys.publicKey) as RelayId,
      loginKey: new Uint8Array(32).fill(1) as LoginPublicKey,
      nodeNonce: new Uint8Array(32).fill(2),
      generation: new Uint8Array(16).fill(3),
    }
    const signature = sodium.sign(acceptMessage({ ...session, counter: 300 }), keys.secretKey)
    const welcome = encodeFrame({ type: 'welcome', counter: 300, frameBytesMax: 262_144, signature })
    for (const { at, changed } of flipped(welcome)) {
      const read = decodeFrame(changed)
      if (!read.ok || read.value.type !== 'welcome' || !isGenuine(read.value, session, sodium)) continue
      // Not signed: how large a frame may be.
      if (read.value.counter !== 300) throw new Error(`Byte ${at} was changed and the counter believed`)
    }
    for (const part of ['loginKey', 'nodeNonce', 'generation'] as const)
      for (const { changed } of flipped(session[part])) {
        const other = { ...session, [part]: changed }
        const read = decodeFrame(welcome)
        if (!read.ok || read.value.type !== 'welcome') throw new Error('no welcome')
        expect(isGenuine(read.value, other, sodium)).toBe(false)
      }
  })
})

import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeOpenLink,
  decodeTunnelMessage,
  encodeOpenLink,
  encodeTunnelMessage,
  inMessages,
  KINDS,
  type Kind,
  MESSAGE_BYTES_MAX,
} from './tunnel-codec.ts'

const SENDER = '000102030405060708090a0b0c0d0e0f'
const record = fc.record({
  kind: fc.constantFrom<Kind>(...Object.values(KINDS)),
  link: fc.nat(0xffff_ffff),
  bytes: fc.uint8Array({ maxLength: 64 }),
})

test('the bytes of a message between relays are these', () => {
  const records = [
    { kind: KINDS.up, link: 7, bytes: Uint8Array.of(0xaa, 0xbb) },
    { kind: KINDS.endUp, link: 7, bytes: new Uint8Array() },
  ]
  expect(toHex(encodeTunnelMessage(fromHex(SENDER), 258, records))).toBe(
    `01${SENDER}00000102` + '04' + '00000007' + '00000002' + 'aabb' + '07' + '00000007' + '00000000',
  )
  const open = {
    mesh: new Uint8Array(32).fill(1),
    nonce: new Uint8Array(32).fill(2),
    address: '::1',
    login: Uint8Array.of(9),
  }
  expect(toHex(encodeOpenLink(open))).toBe(`${'01'.repeat(32)}${'02'.repeat(32)}03${'3a3a31'}09`)
})

test('what is encoded is decoded, and anything else is refused without a throw', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 8 }), fc.nat(0xffff_ffff), fc.nat(400), (records, number, cut) => {
      const bytes = encodeTunnelMessage(fromHex(SENDER), number, records)
      const decoded = decodeTunnelMessage(Uint8Array.from(bytes))
      expect(decoded.ok && { ...decoded.value }).toEqual({ sender: SENDER, number, records })
      const shorter = decodeTunnelMessage(Uint8Array.from(bytes).subarray(0, Math.min(cut, bytes.length)))
      if (shorter.ok) expect(shorter.value.records).toEqual(records.slice(0, shorter.value.records.length))
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      decodeTunnelMessage(bytes)
      decodeTunnelMessage(Uint8Array.of(1, ...bytes))
      decodeOpenLink(bytes)
    }),
  )
})

test('a turn of many records goes in messages that NATS takes, and in order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(262_144), { maxLength: 12 }), (lengths) => {
      const records = lengths.map((length, link) => ({ kind: KINDS.down, link, bytes: new Uint8Array(length) }))
      const messages = inMessages(records)
      expect(messages.flat()).toEqual(records)
      for (const each of messages)
        if (each.length > 1)
          expect(encodeTunnelMessage(fromHex(SENDER), 1, each).length).toBeLessThanOrEqual(MESSAGE_BYTES_MAX)
    }),
    { numRuns: 20 },
  )
})

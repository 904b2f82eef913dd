import { isDeepStrictEqual } from 'node:util'
import { encodeLink, parseLink } from '@sealmesh/protocol/pairing/link'
import { decodeMessage, encodeMessage } from '@sealmesh/protocol/pairing/message'
import { openPairingPacket, sealPairingPacket } from '@sealmesh/protocol/pairing/pairing-packet'
import { linkKeys } from '@sealmesh/protocol/pairing/link-keys'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { fromBase64Url, toBase64Url } from '@sealmesh/protocol/pairing/base64url'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Scene } from '../envelope/scene.ts'
import { PairingScene } from './pairing-scene.ts'

const sodium: Sodium = await loadSodium()
const scene = new PairingScene(sodium, 'link')
const link = scene.link()
const text = encodeLink(link, sodium)

describe('a pairing link', () => {
  test('is one word that says where, whom and until when', () => {
    expect(text).toMatch(/^sealmesh:[A-Za-z0-9_-]{200,300}$/)
    const parsed = parseLink(text, sodium)
    expect(parsed.ok && { ...parsed.value, secret: parsed.value.secret.expose() }).toEqual({
      ...link,
      secret: link.secret.expose(),
    })
  })

  test('may be wrapped by a terminal or a mail', () => {
    expect(parseLink(` ${text.slice(0, 80)}\n  ${text.slice(80)}\r\n`, sodium).ok).toBe(true)
  })

  test('T-pairing-3: with any character lost, changed or swapped is LINK_INVALID, with why', () => {
    for (let at = 0; at < text.length; at++) {
      const other = text[at] === 'A' ? 'B' : 'A'
      for (const spoilt of [text.slice(0, at) + text.slice(at + 1), text.slice(0, at) + other + text.slice(at + 1)]) {
        const parsed = parseLink(spoilt, sodium)
        expect(parsed).toMatchObject({ ok: false, error: { code: 'LINK_INVALID' } })
      }
    }
    const why = (given: string) => parseLink(given, sodium)
    expect(why('https://example.com')).toMatchObject({ error: { why: 'no-link' } })
    expect(why(`sealmesh:${'*'.repeat(200)}`)).toMatchObject({ error: { why: 'characters' } })
    expect(why(text.slice(0, -4))).toMatchObject({ error: { why: 'cut-or-changed' } })
    expect(why('')).toMatchObject({ error: { why: 'no-link' } })
    expect(why(`sealmesh:${'A'.repeat(5_000)}`)).toMatchObject({ error: { why: 'no-link' } })
  })

  test('T-pairing-3: does not show its secret when it is printed', () => {
    expect(JSON.stringify(link)).toContain('"secret":"[redacted]"')
  })
})

describe('a pairing packet', () => {
  const keys = linkKeys(link, sodium)
  const to = { mailbox: link.inviterMailbox, key: keys.packet['to-inviter'], expiresMs: link.expiresMs }
  const message = { type: 'done', session: '00'.repeat(16) } as const

  test('T-curious-3: looks to a relay like any other packet of its size', () => {
    const packet = sealPairingPacket(message, to, scene.random, sodium)
    const other = new Scene(sodium, 'other', 2)
    const ordinary = other.seal(other.member(0), [other.member(1)], { payload: new Uint8Array(1) })
    expect(packet.length).toBe(ordinary.length)
    const header = readPacketHeader(packet)
    expect(header.ok && header.value.recipients.length).toBe(1)
  })

  test('T-pairing-5: opens the way it was sent and no other', () => {
    const packet = sealPairingPacket(message, to, scene.random, sodium)
    expect(openPairingPacket(packet, to, sodium)).toEqual(message)
    expect(openPairingPacket(packet, { ...to, key: keys.packet['to-joiner'] }, sodium)).toBeUndefined()
    const other = linkKeys(scene.link(), sodium)
    expect(openPairingPacket(packet, { ...to, key: other.packet['to-inviter'] }, sodium)).toBeUndefined()
  })

  test('T-pairing-5: with any byte changed opens nowhere', () => {
    const packet = sealPairingPacket(message, to, scene.random, sodium)
    for (let at = 0; at < packet.length; at++)
      expect(openPairingPacket(packet.with(at, packet[at]! ^ 1), to, sodium)).toBeUndefined()
  })
})

test('T-pairing-5: any bytes are read as a message or refused, never thrown at', () => {
  const read = fc.uint8Array({ maxLength: 300 }).map((bytes) => decodeMessage(bytes))
  // Numbers have longer forms of themselves: what is read says the same when it is written again.
  const isStable = (message: ReturnType<typeof decodeMessage>): boolean =>
    !message.ok || isDeepStrictEqual(decodeMessage(encodeMessage(message.value)), message)
  expect(fc.check(fc.property(read, isStable))).toMatchObject({ failed: false })
})

test('base64url is read in its one form only', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const written = toBase64Url(bytes)
      expect(written).toBe(Buffer.from(bytes).toString('base64url'))
      expect(fromBase64Url(written)).toEqual({ ok: true, value: bytes })
    }),
  )
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('A', 'B', '_', 'w', '='), maxLength: 8 }), (written) => {
      const read = fromBase64Url(written)
      if (read.ok) expect(toBase64Url(read.value)).toBe(written)
    }),
  )
})

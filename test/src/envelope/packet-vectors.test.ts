import { readFileSync } from 'node:fs'
import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { openPacket } from '@sealmesh/protocol/envelope/open'
import type { MailboxId } from '@sealmesh/protocol/ids'
import { parseLink } from '@sealmesh/protocol/pairing/link'
import { linkKeys } from '@sealmesh/protocol/pairing/link-keys'
import { decodeMessage } from '@sealmesh/protocol/pairing/message'
import { openPairingPacket } from '@sealmesh/protocol/pairing/pairing-packet'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { describe, expect, test } from 'vitest'
import { buildVectors, NAMES, openedView, type PacketVectors, plain, vectorScene } from './packet-vectors.ts'

const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/packets.json', import.meta.url), 'utf8'),
) as PacketVectors & {
  pairing: {
    link: string
    fields: { secret: string; inviterMailbox: MailboxId; rootFingerprint: string }
    loginKey: string
    messages: { message: unknown; bytes: string; packetToInviter: string }[]
  }
}

describe.each([await loadSodium('wasm'), await loadSodium('native')])(
  'with $implementation sodium',
  (sodium: Sodium) => {
    const scene = vectorScene(sodium)
    const readerOf = (name: string) => scene.member(NAMES.findIndex((each) => each === name))

    test('the golden packets are the bytes that we write', () => {
      expect(plain(buildVectors(sodium))).toEqual(vectors)
    })

    test.each(vectors.good)('opens: $name', ({ packet, reader, opened }) => {
      expect(openedView(fromHex(packet), scene.context(readerOf(reader)), sodium)).toEqual(opened)
    })

    test.each(vectors.bad)('refuses: $name', ({ packet, reader, error }) => {
      expect(error).toMatch(/^PACKET_/)
      expect(openPacket(fromHex(packet), scene.context(readerOf(reader)), sodium)).toMatchObject({
        error: { code: error },
      })
    })

    test('the golden link is read to its fields and keys', () => {
      const link = parseLink(vectors.pairing.link, sodium)
      if (!link.ok) throw new Error(link.error.why)
      expect(plain({ ...link.value, secret: link.value.secret.expose() })).toEqual(vectors.pairing.fields)
      expect(toHex(linkKeys(link.value, sodium).login.publicKey)).toBe(vectors.pairing.loginKey)
    })

    test.each(vectors.pairing.messages)(
      'reads the pairing message: $message.type',
      ({ message, bytes, packetToInviter }) => {
        const decoded = decodeMessage(fromHex(bytes))
        expect(decoded.ok && plain(decoded.value)).toEqual(message)
        const link = parseLink(vectors.pairing.link, sodium)
        if (!link.ok) throw new Error(link.error.why)
        const at = { mailbox: link.value.inviterMailbox, key: linkKeys(link.value, sodium).packet['to-inviter'] }
        expect(plain(openPairingPacket(fromHex(packetToInviter), at, sodium))).toEqual(message)
      },
    )
  },
)

test('the bad packets show every code that opening can give', () => {
  const shown = new Set(vectors.bad.map(({ error }) => error))
  expect([...shown].sort()).toEqual([
    'PACKET_BOX_CLOSED',
    'PACKET_CORRUPT',
    'PACKET_INSIDE_MALFORMED',
    'PACKET_KEY_COMMITMENT',
    'PACKET_MALFORMED',
    'PACKET_NOT_FOR_US',
    'PACKET_RECIPIENT_SWAPPED',
    'PACKET_SENDER_UNKNOWN',
    'PACKET_SIGNATURE',
    'PACKET_SIZE',
    'PACKET_VERSION',
  ])
})

import { BoxCache } from '@sealmesh/protocol/envelope/box-cache'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { openPacket } from '@sealmesh/protocol/envelope/open'
import { padme } from '@sealmesh/protocol/envelope/padding'
import { ContentKeys } from '@sealmesh/protocol/envelope/seal'
import type { RecordHash } from '@sealmesh/protocol/ids'
import { toHex } from '@sealmesh/protocol/bytes'
import { PACKET_BYTES_MAX, PACKET_RECIPIENTS_MAX, PAYLOAD_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { describe, expect, test } from 'vitest'
import { Scene } from './scene.ts'

describe.each([await loadSodium('wasm'), await loadSodium('native')])(
  'with $implementation sodium',
  (sodium: Sodium) => {
    test('each recipient opens what the sender sealed, and learns what was signed', () => {
      const scene = new Scene(sodium, 'round trip', 4)
      const [from, ...to] = scene.members
      const logHeads = [toHex(scene.random(32)), toHex(scene.random(32))].sort() as RecordHash[]
      const draft = scene.draft(from!, to, { logHeads, kind: 'message' })
      const packet = scene.seal(from!, to, draft)
      to.forEach((member, at) => {
        const opened = openPacket(packet, scene.context(member), sodium)
        expect(opened).toMatchObject({
          ok: true,
          value: {
            id: draft.packetId,
            mesh: scene.mesh,
            kind: 'message',
            sender: from!.node,
            incarnation: from!.incarnation,
            sequence: at + 1,
            expiresMs: draft.expiresMs,
            logHeads,
            payload: draft.payload,
          },
        })
      })
    })

    test('T-curious-1: the relay reads the header and nothing else', () => {
      const scene = new Scene(sodium, 'header', 3)
      const [from, ...to] = scene.members
      const draft = scene.draft(from!, to)
      const header = readPacketHeader(scene.seal(from!, to, draft))
      expect(header).toMatchObject({ ok: true, value: { id: draft.packetId, expiresMs: draft.expiresMs } })
      if (!header.ok) return
      expect(header.value.recipients.map(({ mailbox }) => mailbox)).toEqual(to.map(({ mailbox }) => mailbox).sort())
    })

    test('the largest payload for the most recipients fits a packet', () => {
      const scene = new Scene(sodium, 'largest', 1 + PACKET_RECIPIENTS_MAX)
      const [from, ...to] = scene.members
      const logHeads = Array.from({ length: 64 }, () => toHex(scene.random(32)) as RecordHash)
      const packet = scene.seal(from!, to, { logHeads, payload: new Uint8Array(PAYLOAD_BYTES_MAX) })
      expect(packet.length).toBeLessThanOrEqual(PACKET_BYTES_MAX)
      expect(openPacket(packet, scene.context(to[31]!), sodium).ok).toBe(true)
    })

    test('T-curious-2: bodies have padded sizes only', () => {
      const scene = new Scene(sodium, 'sizes', 2)
      const [from, to] = scene.members
      for (const bytes of [0, 1, 100, 250, 1_000, 50_000]) {
        const packet = scene.seal(from!, [to!], { payload: new Uint8Array(bytes) })
        const header = readPacketHeader(packet)
        if (!header.ok) throw new Error(header.error.code)
        const padded = packet.length - header.value.bodyOffset - 24 - 16
        expect(padme(padded)).toBe(padded)
      }
    })

    test('a content key is shared by packets of one minute, and its boxes are opened once', () => {
      const scene = new Scene(sodium, 'reuse', 2)
      const [from, to] = scene.members
      const keys = new ContentKeys()
      const boxCache = new BoxCache()
      let opens = 0
      const counting: Sodium = { ...sodium, openBox: (box, pair) => (opens++, sodium.openBox(box, pair)) }
      const recipients = scene.draft(from!, [to!]).recipients
      const send = (nowMs: number): void => {
        boxCache.tick(nowMs)
        const packet = scene.seal(from!, [to!], { content: keys.take(recipients, nowMs, scene.random, sodium) })
        expect(openPacket(packet, scene.context(to!, { boxCache }), counting).ok).toBe(true)
      }
      for (let nowMs = 0; nowMs < 60_000; nowMs += 1_000) send(nowMs)
      expect(opens).toBe(1)
      send(60_000)
      expect(opens).toBe(2)
      boxCache.tick(120_000)
      expect(boxCache.size).toBe(0)
    })
  },
)

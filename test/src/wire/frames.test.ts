import { readFileSync } from 'node:fs'
import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { PACKET_BYTES_MIN } from '@sealmesh/protocol/envelope/header'
import {
  CONTROL_PADDING_BYTES,
  FRAME_BYTES_MAX,
  PACKET_BYTES_MAX,
  PADDING_FLOOR_BYTES,
} from '@sealmesh/protocol/limits'
import { decodeFrame, encodeFrame, type Frame } from '@sealmesh/protocol/wire/frame'
import { FrameFiller, packetFrameBytes } from '@sealmesh/protocol/wire/packets'
import { REASON_BYTES } from '@sealmesh/protocol/wire/reason'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { buildVectors, readable, SAMPLES } from './frame-samples.ts'

interface Vectors {
  good: { name: string; hex: string; frame: unknown }[]
  bad: { name: string; hex: string; code: string }[]
}
const vectors = JSON.parse(readFileSync(new URL('../../vectors/frames.json', import.meta.url), 'utf8')) as Vectors

describe('the golden frames', () => {
  test('are what this code writes: a change needs a new wire version', () => {
    expect(vectors).toEqual(JSON.parse(JSON.stringify(buildVectors())))
  })
  test.each(vectors.good)('$name is read as it was written', ({ hex, frame }) => {
    const decoded = decodeFrame(fromHex(hex))
    expect(decoded.ok && readable(decoded.value)).toEqual(frame)
    expect(decoded.ok && toHex(encodeFrame(decoded.value))).toBe(hex)
  })
  test.each(vectors.bad)('$name is refused', ({ hex, code }) => {
    const decoded = decodeFrame(fromHex(hex))
    expect(decoded.ok ? 'accepted' : decoded.error.code).toBe(code)
  })
  test('have one of each kind', () => {
    const kinds: Record<Frame['type'], true> = {
      challenge: true,
      login: true,
      welcome: true,
      goodbye: true,
      send: true,
      answer: true,
      deliver: true,
      ack: true,
      notice: true,
      lost: true,
      drained: true,
      open: true,
      enrol: true,
      revoke: true,
      readSlot: true,
      setSlot: true,
      slot: true,
      done: true,
      ping: true,
      pong: true,
      vaultNames: true,
      vaultLacks: true,
      vaultPut: true,
      vaultKeep: true,
      vaultList: true,
      vaults: true,
      vaultGet: true,
      vaultChunk: true,
    }
    expect(new Set(SAMPLES.map(({ frame }) => frame.type))).toEqual(new Set(Object.keys(kinds)))
  })
})

test('T-curious-2: a question about a slot is as long as a control packet to one reader, its answer as one that comes', () => {
  const packet = new Uint8Array(PACKET_BYTES_MIN - PADDING_FLOOR_BYTES + CONTROL_PADDING_BYTES)
  const sent = encodeFrame({ type: 'send', packets: [packet] }).length
  for (const { frame } of SAMPLES) {
    if (frame.type === 'readSlot' || frame.type === 'setSlot') expect(encodeFrame(frame)).toHaveLength(sent)
    if (frame.type !== 'slot') continue
    const delivered = encodeFrame({ type: 'deliver', packets: [{ sequence: frame.request, packet }] })
    expect(encodeFrame(frame)).toHaveLength(delivered.length)
  }
})

describe('a decoder', () => {
  test('T-relay-6: refuses every frame that is cut anywhere, or has a byte too many', () => {
    for (const { hex, name } of vectors.good) {
      const whole = fromHex(hex)
      for (let length = 0; length < whole.length; length++) {
        const decoded = decodeFrame(whole.subarray(0, length))
        // A frame of several packets or answers, cut between two of them, is a frame of fewer.
        if (decoded.ok) expect(name).toMatch(/several|answer/)
      }
      const longer = decodeFrame(Uint8Array.from([...whole, 0]))
      // A zero is an empty packet at the end of a `send`.
      expect(longer.ok && !name.startsWith('send')).toBe(false)
    }
  })
  test('never throws on changed bytes, and what it accepts it writes again', () => {
    const wrong: string[] = []
    for (const { hex } of vectors.good) {
      const whole = fromHex(hex)
      for (let at = 0; at < whole.length; at++) {
        for (const change of [0x01, 0x80, 0xff]) {
          const bytes = Uint8Array.from(whole)
          bytes[at] = (bytes[at] ?? 0) ^ change
          const decoded = decodeFrame(bytes)
          if (!decoded.ok) continue
          // A number in more bytes than it needs is the one other way to write the same frame.
          const again = encodeFrame(decoded.value)
          const reread = decodeFrame(again)
          if (!reread.ok || toHex(encodeFrame(reread.value)) !== toHex(again) || again.length > bytes.length)
            wrong.push(`byte ${at} of ${hex} changed to ${bytes[at]}`)
        }
      }
    }
    expect(wrong).toEqual([])
  })
  test('T-relay-6: never throws on anything', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 0, max: 0x47 }), (bytes, type) => {
        decodeFrame(bytes)
        decodeFrame(Uint8Array.from([type, ...bytes]))
      }),
      { numRuns: 5_000 },
    )
  })
  test('T-relay-6: refuses a frame over the limit before it looks into it', () => {
    const bytes = new Uint8Array(FRAME_BYTES_MAX + 1)
    expect(decodeFrame(bytes)).toEqual({ ok: false, error: { code: 'FRAME_SIZE', bytes: bytes.length } })
  })
  test('takes the largest packet in one frame', () => {
    const packet = new Uint8Array(PACKET_BYTES_MAX)
    const frame = encodeFrame({ type: 'deliver', packets: [{ sequence: Number.MAX_SAFE_INTEGER, packet }] })
    expect(frame.length).toBeLessThanOrEqual(FRAME_BYTES_MAX)
    expect(decodeFrame(frame).ok).toBe(true)
  })
})

test('what one turn sends is filled into frames within the limit, in order, with nothing lost', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 100_000 }), { maxLength: 40 }), (lengths) => {
      const filler = new FrameFiller<Uint8Array>(packetFrameBytes)
      for (const [i, length] of lengths.entries()) filler.add(new Uint8Array(length).fill(i))
      const frames = filler.take()
      for (const packets of frames)
        expect(encodeFrame({ type: 'send', packets }).length).toBeLessThanOrEqual(FRAME_BYTES_MAX)
      expect(frames.flat().map((packet) => packet.length)).toEqual(lengths)
      expect(filler.isEmpty).toBe(true)
    }),
  )
})

test('reasons have numbers of their own, above those of other outcomes', () => {
  const numbers = Object.values(REASON_BYTES)
  expect(new Set(numbers).size).toBe(numbers.length)
  expect(Math.min(...numbers)).toBeGreaterThanOrEqual(16)
})

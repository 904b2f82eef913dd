import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { fromHex } from '@sealmesh/protocol/bytes'
import { PAYLOAD_BYTES_MAX } from '@sealmesh/protocol/limits'
import { DEFLATE_BYTES_MIN, unwrapPayload, wrapPayload } from '@sealmesh/protocol/sync/payload-form'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ZlibDeflater } from './zlib-deflater.ts'

const deflater = () => new ZlibDeflater()
const facts = (bytes: number) => Buffer.from('deploy on Thursdays, '.repeat(1 + bytes / 20)).subarray(0, bytes)
const MALFORMED = { ok: false, error: { code: 'PAYLOAD_MALFORMED' } }

test('a large payload travels deflated, a small one and one that does not shrink as they are', () => {
  const large = facts(100_000)
  const wrapped = wrapPayload(large, deflater())
  expect(wrapped[0]).toBe(1)
  expect(wrapped.length).toBeLessThan(5_000)
  expect(unwrapPayload(wrapped, deflater())).toEqual({ ok: true, value: large })
  for (const items of [facts(DEFLATE_BYTES_MIN - 1), randomBytes(50_000), new Uint8Array()]) {
    const plain = wrapPayload(items, deflater())
    expect(plain[0]).toBe(0)
    expect(plain.length).toBe(items.length + 1)
    const back = unwrapPayload(plain, deflater())
    expect(back.ok && Buffer.compare(back.value, items)).toBe(0)
  }
})

test('the bytes of both forms are those of the specification', () => {
  const items = fromHex('0104')
  expect(wrapPayload(items, deflater())).toEqual(fromHex('000104'))
  // 60 letters: their number, then one block with fixed codes (RFC 1951 §3.2.6).
  const letters = { ok: true, value: Buffer.from('a'.repeat(60)) }
  expect(unwrapPayload(fromHex('013c4b4c241f0000'), deflater())).toEqual(letters)
  expect(unwrapPayload(fromHex('013d4b4c241f0000'), deflater())).toMatchObject(MALFORMED)
  expect(unwrapPayload(fromHex('024b4c241f0000'), deflater())).toMatchObject(MALFORMED)
})

test('T-peer-5: what inflates to more or less than it says, or says too much, is refused and never made', () => {
  const bomb = deflateRawSync(Buffer.alloc(50_000_000))
  const saying = (length: number): Uint8Array => {
    const said: number[] = [1]
    let rest = length
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) said.push((rest & 0x7f) | 0x80)
    return Uint8Array.from([...said, rest, ...bomb])
  }
  for (const length of [0, 1, 50_000, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX + 1, 50_000_000]) {
    const before = process.memoryUsage().arrayBuffers
    expect(unwrapPayload(saying(length), deflater())).toMatchObject(MALFORMED)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8_000_000)
  }
})

test('no bytes make it throw', () => {
  const good = wrapPayload(facts(20_000), deflater())
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(good.length), (at, flip, length) => {
      const broken = good.slice(0, length)
      if (at < length) broken[at] = (broken[at] ?? 0) ^ flip
      expect(typeof unwrapPayload(broken, deflater()).ok).toBe('boolean')
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array(), (noise) => {
      expect(typeof unwrapPayload(noise, deflater()).ok).toBe('boolean')
    }),
  )
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../bytes.ts'
import { CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, type Entry, ImageCutter, ImageReader } from './image.ts'

const cut = (entries: readonly Entry[]): Uint8Array[] => {
  const cutter = new ImageCutter()
  return [...entries.flatMap((entry) => cutter.push(entry)), ...cutter.end()]
}
const read = (chunks: readonly Uint8Array[]): Entry[] | undefined => {
  const reader = new ImageReader()
  const entries: Entry[] = []
  for (const chunk of chunks) {
    const more = reader.push(chunk)
    if (more === undefined) return undefined
    entries.push(...more)
  }
  return reader.isAtEnd ? entries : undefined
}
const plain = (entries: readonly Entry[] | undefined) => entries?.map(({ key, value }) => [toHex(key), toHex(value)])

/** As a store's: sorted keys that end in noise. */
const many = (count: number, valueBytes: number): Entry[] =>
  Array.from({ length: count }, (_, i) => {
    const key = new Uint8Array(24)
    new DataView(key.buffer).setUint32(0, i)
    for (let at = 4; at < 24; at++) key[at] = (Math.imul(i + 1, 2_654_435_761) >>> (at % 24)) & 0xff
    return { key, value: new Uint8Array(valueBytes).fill(i) }
  })

describe('an image', () => {
  test('is read back as it was, whatever the sizes', () => {
    const entry = fc.record({
      key: fc.uint8Array({ maxLength: 80 }),
      value: fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.integer({ min: CHUNK_BYTES_MIN, max: 3 * CHUNK_BYTES_MAX }).map((length) => new Uint8Array(length).fill(7)),
      ),
    })
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 12 }), (entries) => {
        const chunks = cut(entries)
        for (const chunk of chunks) expect(chunk.length).toBeLessThanOrEqual(CHUNK_BYTES_MAX)
        expect(plain(read(chunks))).toEqual(plain(entries))
      }),
      { numRuns: 60 },
    )
  })

  test('is not taken for whole when its end is missing, or a chunk in it', () => {
    const chunks = cut(many(2_000, 300))
    expect(chunks.length).toBeGreaterThan(4)
    const last = chunks.at(-1)!
    expect(read([...chunks.slice(0, -1), last.subarray(0, -1)])).toBeUndefined()
    expect(plain(read(chunks.toSpliced(1, 1)))).not.toEqual(plain(many(2_000, 300)))
  })

  test('has mostly the same chunks when entries came in between, went or changed', () => {
    const before = many(20_000, 200)
    const after = before.filter((_, i) => i % 5_000 !== 17)
    after.splice(9_000, 0, { key: Uint8Array.of(9, 9, 9), value: new Uint8Array(5_000) })
    const text = toHex
    const known = new Set(cut(before).map(text))
    const chunks = cut(after).map(text)
    const fresh = chunks.filter((chunk) => !known.has(chunk))
    expect(chunks.length).toBeGreaterThan(30)
    expect(fresh.length).toBeLessThanOrEqual(15)
  })

  test('never throws on other bytes', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (chunks) => void read(chunks)))
  })
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decode, encode, fromHex, readText, toHex, utf8, writeBytes, writeText } from './bytes.ts'

const read = (bytes: Uint8Array) =>
  decode(
    encode((w) => writeBytes(w, bytes)),
    (r) => readText(r, 1_000),
  )

test('a text is read only from the bytes that writing it gives', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
      const text = read(bytes)
      if (text.ok) expect(utf8(text.value)).toEqual(bytes)
    }),
    { numRuns: 20_000 },
  )
})

test.each([
  ['a byte that begins nothing', [0x80]],
  ['a slash in two bytes', [0xc0, 0xaf]],
  ['half a surrogate pair', [0xed, 0xa0, 0x80]],
  ['a character that is cut off', [0xe2, 0x98]],
  ['a code point past the last', [0xf4, 0x90, 0x80, 0x80]],
])('%s is malformed', (_what, bytes) => {
  expect(read(new Uint8Array(bytes))).toEqual({ ok: false, error: { code: 'BYTES_MALFORMED' } })
})

test('a byte order mark is part of the text', () => {
  const bytes = encode((w) => writeText(w, '\ufeffx'))
  expect(decode(bytes, (r) => readText(r, 100))).toEqual({ ok: true, value: '\ufeffx' })
})

test('a text is written as its UTF-8 behind its length, whether it is short, long, ASCII or not', () => {
  for (const text of [
    '',
    'a',
    'x'.repeat(127),
    'x'.repeat(128),
    `${'x'.repeat(126)}é`,
    'é'.repeat(127),
    '€'.repeat(200),
  ]) {
    const expected = encode((w) => writeBytes(w, utf8(text)))
    expect(encode((w) => writeText(w, text))).toEqual(expected)
    expect(encode((w) => (writeText(w, 'before'), writeText(w, text))).subarray(7)).toEqual(expected)
  }
})

test('bytes of any length become the hexadecimal that they are read from', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(toHex(bytes)).toBe([...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(''))
      expect(fromHex(toHex(bytes))).toEqual(bytes)
    }),
  )
})

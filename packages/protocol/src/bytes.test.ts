import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  concatBytes,
  decode,
  encode,
  equalBytes,
  fromHex,
  readText,
  toHex,
  utf8,
  writeBytes,
  writeText,
} from './bytes.ts'

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
  const texts = ['', 'é', '\ud83d\ude00', '\ud83d']
  for (const length of [1, 23, 24, 25, 42, 43, 63, 64, 126, 127, 128, 5_460, 5_461, 5_462, 16_383, 16_384, 16_385])
    for (const unit of ['x', 'é', '€']) texts.push(unit.repeat(length), `${'x'.repeat(length - 1)}${unit}`)
  for (const text of texts) {
    const expected = encode((w) => writeBytes(w, utf8(text)))
    expect(
      equalBytes(
        encode((w) => writeText(w, text)),
        expected,
      ),
    ).toBe(true)
    const second = encode((w) => {
      writeText(w, 'before')
      writeText(w, text)
      writeText(w, 'after')
    })
    const [before, after] = ['before', 'after'].map((word) => encode((w) => writeBytes(w, utf8(word))))
    expect(equalBytes(second, concatBytes(before!, expected, after!))).toBe(true)
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

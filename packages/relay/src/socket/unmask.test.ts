import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { maskSlowly, unmaskInto } from './unmask.ts'

test('the native way and the slow one give the same bytes, wherever they begin and end', () => {
  const mask = randomBytes(4)
  for (let bytes = 0; bytes < 200; bytes++) {
    for (let shift = 0; shift < 9; shift++) {
      const source = randomBytes(bytes + shift).subarray(shift)
      const before = Buffer.from(source)
      const [fast, slow] = [new Uint8Array(bytes + 16), new Uint8Array(bytes + 16)]
      unmaskInto(source, mask, fast, shift)
      maskSlowly(source, mask, slow, shift)
      expect(Buffer.compare(fast, slow)).toBe(0)
      expect([...slow.subarray(shift, shift + bytes)]).toEqual([...before].map((byte, i) => byte ^ mask[i & 3]!))
      expect(slow.subarray(shift + bytes).every((byte) => byte === 0)).toBe(true)
      expect(Buffer.compare(source, before)).toBe(0)
    }
  }
})

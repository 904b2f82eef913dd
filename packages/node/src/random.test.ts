import { expect, test } from 'vitest'
import { openRandom } from './random.ts'

test('no byte is handed out twice, whatever the sizes that are asked for', () => {
  const random = openRandom()
  const seen = new Set<string>()
  const sizes = [16, 32, 4_096, 5_008]
  let pieces = 0
  for (let i = 0; i < 400; i++) {
    const hex = Buffer.from(random(sizes[i % sizes.length]!)).toString('hex')
    for (const piece of hex.match(/.{32}/g) ?? []) seen.add(piece)
    pieces += sizes[i % sizes.length]! / 16
  }
  expect(seen.size).toBe(pieces)
})

test('what was handed out is its owner’s alone', () => {
  const random = openRandom()
  const first = random(32)
  const copy = Uint8Array.from(first)
  for (let i = 0; i < 500; i++) random(32).fill(7)
  expect(first).toEqual(copy)
})

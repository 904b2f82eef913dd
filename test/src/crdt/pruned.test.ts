import { readFileSync } from 'node:fs'
import { fromHex } from '@sealmesh/protocol/bytes'
import { closeCausally } from '@sealmesh/protocol/crdt/base'
import { decodeBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { Clock } from '@sealmesh/protocol/crdt/clock'
import { decodePruned, prune, verifyPruned } from '@sealmesh/protocol/crdt/pruned'
import type { BlockHash } from '@sealmesh/protocol/ids'
import type { SignPublicKey } from '@sealmesh/protocol/keys'
import { PRUNED_BYTES_MAX } from '@sealmesh/protocol/limits'
import { loadSodium } from '@sealmesh/sodium/load'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { buildPrunedVectors, keptAt, keysOf, type PrunedVectors, wholeBlock } from './pruned-vectors.ts'
import { id, incarnationId } from './scene.ts'

const vectors = JSON.parse(readFileSync(new URL('../../vectors/pruned.json', import.meta.url), 'utf8')) as PrunedVectors

describe('pruned blocks', async () => {
  const sodium = await loadSodium()
  const key = fromHex(vectors.key) as SignPublicKey

  test('the file is what this code gives', () => {
    expect(vectors).toEqual(JSON.parse(JSON.stringify(buildPrunedVectors(sodium))))
    const whole = decodeBlock(fromHex(vectors.whole), sodium)
    expect(whole.ok && whole.value.hash).toBe(vectors.hash)
  })

  test.each(vectors.good)('keeps hash and signature of the whole block: $name', ({ bytes, keys }) => {
    const pruned = decodePruned(fromHex(bytes), sodium)
    if (!pruned.ok) throw new Error(pruned.error.code)
    expect(pruned.value.hash).toBe(vectors.hash)
    expect(keysOf(pruned.value)).toEqual(keys)
    expect(verifyPruned(pruned.value, key, sodium)).toBe(true)
  })

  test.each(vectors.bad)('refuses: $name', ({ bytes }) => {
    expect(decodePruned(fromHex(bytes), sodium).ok).toBe(false)
  })

  test('any writes may go, and of what is left any may go later, in whatever steps', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 90 }), fc.infiniteStream(fc.boolean()), (count, coins) => {
        const block = wholeBlock(count, sodium)
        const places = block.writes.map((_, at) => at).filter(() => coins.next().value === true)
        const fewer = places.filter(() => coins.next().value === true)
        const first = prune(block, keptAt(block, places), sodium)
        const read = decodePruned(first.bytes, sodium)
        if (!read.ok) throw new Error(read.error.code)
        expect(read.value.hash).toBe(block.hash)
        expect(keysOf(read.value)).toEqual(keysOf(first))
        const again = prune(read.value, keptAt(block, fewer), sodium)
        expect(again.bytes).toEqual(prune(block, keptAt(block, fewer), sodium).bytes)
        expect(decodePruned(again.bytes, sodium)).toMatchObject({ ok: true, value: { hash: block.hash } })
      }),
      { numRuns: 60 },
    )
  })

  test('a changed byte changes the block, is refused, or is in a clock that nobody signed', () => {
    const open: Clock = [{ incarnation: incarnationId(7), sequence: 3, hash: id<BlockHash>('b7', 3) }]
    const block = wholeBlock(40, sodium)
    const { bytes } = prune(block, keptAt(block, [1, 8, 33], open), sodium)
    for (let at = 0; at < bytes.length; at++) {
      const pruned = decodePruned(bytes.with(at, bytes[at]! ^ 1), sodium)
      if (!pruned.ok || pruned.value.hash !== block.hash) continue
      const { writes } = pruned.value
      const sameWords = writes.every((write) =>
        block.writes.some((other) => JSON.stringify(other) === JSON.stringify(write)),
      )
      expect(sameWords || !verifyPruned(pruned.value, key, sodium)).toBe(true)
    }
  })

  test('never throws at random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        decodePruned(bytes, sodium)
      }),
    )
    expect(decodePruned(new Uint8Array(PRUNED_BYTES_MAX + 1), sodium).ok).toBe(false)
  })
})

test('a base lies below every block that had received something above it', () => {
  const dot = (incarnation: number, sequence: number) => ({
    incarnation: incarnationId(incarnation),
    sequence,
    hash: id<BlockHash>('b', sequence),
  })
  const [a, b, c] = [incarnationId(1), incarnationId(2), incarnationId(3)]
  const closed = closeCausally([
    {
      incarnation: incarnationId(1),
      sequence: 9,
      heard: [
        { sequence: 4, received: [dot(2, 2)] },
        { sequence: 6, received: [dot(2, 5)] },
      ],
    },
    { incarnation: incarnationId(2), sequence: 5, heard: [{ sequence: 5, received: [dot(3, 1)] }] },
    { incarnation: incarnationId(3), sequence: 0, heard: [] },
  ])
  // The second stops before it had heard of the third, and so the first stops before it had heard of that.
  expect(closed).toEqual(
    new Map([
      [a, 5],
      [b, 4],
      [c, 0],
    ]),
  )
})

test('blocks that count for nothing hold up no base, where all before them goes', () => {
  const [a, b] = [incarnationId(1), incarnationId(2)]
  const hash = id<BlockHash>('b', 1)
  const reaches = (sequence: number, upTo: number) => [
    {
      incarnation: a,
      sequence: 9,
      heard: [
        { sequence: 4, received: [{ incarnation: b, sequence: 3, hash }] },
        { sequence: 7, received: [{ incarnation: b, sequence: 5, hash }] },
      ],
    },
    { incarnation: b, sequence, heard: [], aside: { after: 2, upTo } },
  ]
  expect(closeCausally(reaches(2, 5)).get(a)).toBe(9)
  // After them stands one that counts.
  expect(closeCausally(reaches(2, 4)).get(a)).toBe(6)
  // Of those before them something stays.
  expect(closeCausally(reaches(1, 5)).get(a)).toBe(3)
})

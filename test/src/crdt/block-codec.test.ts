import { readFileSync } from 'node:fs'
import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import type { Block, DocumentName, Write } from '@sealmesh/protocol/crdt/block'
import { clientIdOf, decodeBlock, documentIdOf, signBlock, verifyBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { digestOf } from '@sealmesh/protocol/crdt/vector'
import { type IncarnationId, isItemId } from '@sealmesh/protocol/ids'
import type { SignPublicKey } from '@sealmesh/protocol/keys'
import { loadSodium } from '@sealmesh/sodium/load'
import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { blockView, buildVectors, craftedGood, type Vectors } from './block-vectors.ts'
import { history } from './history.ts'
import { sodium as fake } from './scene.ts'

// Many histories: on a busy machine they take long, and that says nothing of them.
vi.setConfig({ testTimeout: 180_000 })

const VECTORS = new URL('../../vectors/blocks.json', import.meta.url)
const vectors = JSON.parse(readFileSync(VECTORS, 'utf8')) as Vectors

describe('golden blocks', async () => {
  const sodium = await loadSodium()
  const keyOf = (hex: string) => fromHex(hex) as SignPublicKey
  const read = (bytes: string): Block => {
    const block = decodeBlock(fromHex(bytes), sodium)
    if (!block.ok) throw new Error(block.error.code)
    return block.value
  }

  test('the file is what its own seeds and this code give', () => {
    expect(vectors).toEqual(JSON.parse(JSON.stringify(buildVectors(sodium))))
  })

  test.each(vectors.good)('reads, hashes and verifies: $name', ({ bytes, hash, block }) => {
    const decoded = read(bytes)
    expect(blockView(decoded)).toEqual(block)
    expect(decoded.hash).toBe(hash)
    expect(verifyBlock(decoded, keyOf(vectors.key), sodium)).toBe(true)
    expect(verifyBlock(decoded, keyOf(vectors.wrongKey), sodium)).toBe(false)
  })

  test.each(vectors.bad)('refuses: $name', ({ bytes, error }) => {
    expect(decodeBlock(fromHex(bytes), sodium)).toMatchObject({ ok: false, error: { code: error } })
  })

  test('T-peer-5: refuses what is over the limit before it reads it', () => {
    const { bytes, error } = vectors.tooLong
    expect(decodeBlock(new Uint8Array(bytes), sodium)).toMatchObject({ ok: false, error: { code: error } })
  })

  test.each(vectors.badSignatures)('reads, but does not verify: $name', ({ bytes }) => {
    expect(verifyBlock(read(bytes), keyOf(vectors.key), sodium)).toBe(false)
  })

  test.each(vectors.documentIds)('names the document $layer', ({ agent, layer, id }) => {
    expect(documentIdOf({ agent, layer } as DocumentName, sodium)).toBe(id)
  })

  test.each(vectors.clientIds)('gives $incarnation its Yjs client id', ({ incarnation, client }) => {
    expect(clientIdOf(incarnation as IncarnationId)).toBe(client)
  })

  test.each(vectors.vectorDigests)('names a vector: $digest', ({ vector, digest }) => {
    expect(toHex(digestOf(vector as VersionVector, sodium))).toBe(digest)
  })

  test('the layout, written down twice, is one', () => {
    const [first] = vectors.good
    expect(toHex(craftedGood().subarray(0, -64))).toBe(first!.bytes.slice(0, -128))
  })

  test('T-peer-9: the hash leaves the signature out, so nobody can make a second block of one', () => {
    const [first] = vectors.good
    expect(read(`${first!.bytes.slice(0, -2)}00`).hash).toBe(first!.hash)
  })
})

test('what is signed is what is read, whatever was written', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1 }), (seed) => {
      for (const block of history(seed, { texts: true, log: true, forks: true }).blocks) {
        const decoded = decodeBlock(block.bytes, fake)
        expect(decoded).toEqual({ ok: true, value: block })
      }
    }),
    { numRuns: 60, endOnFailure: true },
  )
})

test('any keys and values come back as they were, in canonical order', () => {
  const { secretKey } = fake.signKeys('sign', new Uint8Array(32))
  const [{ header }] = history(1, { texts: false, log: false, forks: false }).blocks as [Block]
  const key = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).filter(isItemId)
  const entries = fc.uniqueArray(fc.tuple(key, fc.string({ unit: 'binary' })), {
    selector: ([name]) => name,
    minLength: 1,
  })
  fc.assert(
    fc.property(entries, (pairs) => {
      const writes = pairs.map(([name, value]): Write => ({ type: 'set', key: name, value, replaces: [] }))
      const decoded = decodeBlock(signBlock({ ...header, writes }, secretKey, fake).bytes, fake)
      if (!decoded.ok) throw new Error(decoded.error.code)
      const back = new Map(
        decoded.value.writes.map((write) => [
          write.type === 'set' ? write.key : '',
          write.type === 'set' ? write.value : '',
        ]),
      )
      expect(back).toEqual(new Map(pairs))
    }),
  )
})

test('T-peer-9: no bytes make the decoder throw, and what it accepts has one form only', () => {
  const { secretKey } = fake.signKeys('sign', new Uint8Array(32))
  const good = vectors.good.map(({ bytes }) => fromHex(bytes))
  const mutation = fc.record({
    at: fc.nat(1_000),
    byte: fc.oneof(fc.constantFrom(0, 1, 2, 127, 128, 255), fc.nat(255)),
    how: fc.constantFrom('set', 'insert', 'remove', 'cut'),
  })
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.array(mutation, { minLength: 1, maxLength: 4 }), (which, mutations) => {
      let bytes = [...good[which]!]
      for (const { at, byte, how } of mutations) {
        const place = at % (bytes.length + 1)
        if (how === 'set') bytes[Math.min(place, bytes.length - 1)] = byte
        else if (how === 'insert') bytes.splice(place, 0, byte)
        else if (how === 'remove') bytes.splice(place, 1)
        else bytes = bytes.slice(0, place)
      }
      const decoded = decodeBlock(Uint8Array.from(bytes), fake)
      if (!decoded.ok) expect(decoded.error.code).toMatch(/^BLOCK_(MALFORMED|VERSION)$/)
      else {
        const { header, writes } = decoded.value
        const again = signBlock({ ...header, writes }, secretKey, fake)
        expect([...again.bytes.subarray(0, -64)]).toEqual(bytes.slice(0, -64))
      }
    }),
    { numRuns: 20_000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      expect(decodeBlock(bytes, fake)).toHaveProperty('ok', false)
      expect(decodeBlock(Uint8Array.from([1, ...bytes]), fake)).toHaveProperty('ok', false)
    }),
    { numRuns: 5_000 },
  )
})

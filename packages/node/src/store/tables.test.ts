import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compareText, toHex, utf8 } from '@sealmesh/protocol/bytes'
import type { Block } from '@sealmesh/protocol/crdt/block'
import type { AgentId, BlockHash, DocumentId, IncarnationId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { BlockStore } from './block-store.ts'
import { DocumentIndex } from './document-index.ts'
import { afterPrefix, blockKey, dotOfKey, TABLES } from './keys.ts'
import { Meta } from './meta.ts'
import { ReceiptStore } from './receipt-store.ts'
import { RecordStore } from './record-store.ts'
import { openStore, type Store } from './store.ts'

let directory: string
let store: Store

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealmesh-tables-'))
  store = await openStore(directory)
})

afterEach(async () => {
  await store.close()
  await rm(directory, { recursive: true })
})

async function reopen(): Promise<void> {
  await store.close()
  store = await openStore(directory)
}

const id = (byte: number, bytes = 32): string => byte.toString(16).padStart(2, '0').repeat(bytes)
const document = id(0xd0) as DocumentId
const peer = id(0x0a) as NodeId
const incarnation = (byte: number) => id(byte, 16) as IncarnationId

/** Only what the store looks at. */
const block = (byte: number, sequence: number, hash: number, text = 'x') =>
  ({
    header: { incarnation: incarnation(byte), sequence },
    hash: id(hash) as BlockHash,
    bytes: utf8(text),
  }) as unknown as Block

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

test('keys of blocks sort by incarnation and then by sequence as numbers', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(255), fc.maxSafeNat()), { minLength: 2 }), (pairs) => {
      const keys = pairs.map(([byte, sequence]) =>
        blockKey(document, { incarnation: incarnation(byte), sequence, hash: id(1) as BlockHash }),
      )
      const byKey = keys.toSorted((a, b) => compareText(toHex(a), toHex(b))).map((key) => dotOfKey(key))
      const byDot = keys
        .map((key) => dotOfKey(key))
        .toSorted((a, b) => compareText(a.incarnation, b.incarnation) || a.sequence - b.sequence)
      expect(byKey).toEqual(byDot)
    }),
  )
})

test('the end of a range skips bytes that cannot grow', () => {
  expect(afterPrefix(Uint8Array.of(0x11, 0xff, 0xff))).toEqual(Uint8Array.of(0x12))
  expect(afterPrefix(Uint8Array.of(0x11, 0x00))).toEqual(Uint8Array.of(0x11, 0x01))
})

test('blocks come back in chain order, incarnation by incarnation, and the tips are the last of each', async () => {
  const blocks = new BlockStore(store)
  const other = id(0xd1) as DocumentId
  const all = [block(2, 1, 5), block(2, 2, 4), block(1, 1, 3), block(1, 2, 2), block(1, 3, 1), block(0xff, 1, 9)]
  await store.commit(all.map((each) => blocks.put(document, each)))
  await store.commit([blocks.put(other, block(7, 1, 1))])
  await reopen()
  const again = new BlockStore(store)
  const dots = (await collect(again.iterate(document))).map((each) => [each.incarnation.slice(0, 2), each.sequence])
  expect(dots).toEqual([
    ['01', 1],
    ['01', 2],
    ['01', 3],
    ['02', 1],
    ['02', 2],
    ['ff', 1],
  ])
  expect((await again.tips(document)).map((tip) => [tip.incarnation.slice(0, 2), tip.sequence])).toEqual([
    ['01', 3],
    ['02', 2],
    ['ff', 1],
  ])
  expect((await collect(again.run(document, incarnation(1), 2))).map((each) => each.sequence)).toEqual([2, 3])
  expect(await again.tips(id(0xd2) as DocumentId)).toEqual([])
})

test('a missing block is damage, and is named', async () => {
  const blocks = new BlockStore(store)
  await store.commit([block(1, 1, 1), block(1, 3, 3)].map((each) => blocks.put(document, each)))
  await expect(collect(blocks.iterate(document))).rejects.toMatchObject({
    code: 'STORE_DAMAGED',
    message: /Block 2 is missing/,
  })
})

test('two branches of a fork may share sequences', async () => {
  const blocks = new BlockStore(store)
  const forked = [block(1, 1, 1), block(1, 2, 2), block(1, 2, 3), block(1, 3, 4)]
  await store.commit(forked.map((each) => blocks.put(document, each)))
  expect(await collect(blocks.iterate(document))).toHaveLength(4)
})

test('the index names every document after a restart, with the incarnations that forked', async () => {
  const entry = { name: { agent: id(0x33) as AgentId, layer: 'semantic' }, forked: [incarnation(4)] }
  const index = await DocumentIndex.load(store)
  await store.commit(index.put(document, entry))
  await reopen()
  const again = await DocumentIndex.load(store)
  expect(again.names()).toEqual([entry.name])
  expect(again.get(document)).toEqual(entry)
})

test('records are kept once, and come back in the order in which they were stored', async () => {
  const record = (byte: number) => ({ hash: id(byte) as RecordHash, bytes: utf8(`record ${byte}`) }) as SignedRecord
  const { records } = await RecordStore.load(store)
  await records.put([record(9), record(3)])
  await records.put([record(3), record(5)])
  await reopen()
  const again = await RecordStore.load(store)
  expect(again.stored.map((bytes) => Buffer.from(bytes).toString())).toEqual(['record 9', 'record 3', 'record 5'])
  expect(again.records.has(id(3) as RecordHash)).toBe(true)
  await again.records.put([record(1)])
  expect((await RecordStore.load(store)).stored).toHaveLength(4)
})

test('every table has a number of its own', () => {
  const numbers = Object.values(TABLES)
  expect(new Set(numbers).size).toBe(numbers.length)
})

test('a peer’s newest receipt replaces its older one, and nobody else’s', async () => {
  const receipts = new ReceiptStore(store)
  const name = { agent: id(0x33) as AgentId, layer: 'semantic' }
  const vector = (sequence: number) => [{ incarnation: incarnation(1), sequence, hash: id(7) as BlockHash }]
  await receipts.write(peer, [{ document: name, vector: vector(1) }])
  await receipts.write(peer, [{ document: name, vector: vector(2) }])
  await reopen()
  const again = new ReceiptStore(store)
  expect(await again.read(peer, name)).toEqual(vector(2))
  expect(await again.read(id(0x0b) as NodeId, name)).toEqual([])
  expect(await again.read(peer, { ...name, layer: 'semanti' })).toEqual([])
})

test('a named value is read back by its schema, and one of another shape is damage', async () => {
  const meta = new Meta(store)
  const Counter = z.object({ counter: z.int() })
  await meta.write('generation', Counter, { counter: 3 })
  await reopen()
  const again = new Meta(store)
  expect(await again.read('generation', Counter)).toEqual({ counter: 3 })
  expect(await again.read('absent', Counter)).toBe(undefined)
  await expect(again.read('generation', z.object({ name: z.string() }))).rejects.toMatchObject({
    code: 'STORE_DAMAGED',
  })
  await again.delete('generation')
  expect(await again.read('generation', Counter)).toBe(undefined)
})

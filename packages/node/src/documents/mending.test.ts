import { join } from 'node:path'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { Level } from 'level'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { afterPrefix, documentKey, documentPrefix, dotOfKey } from '../store/keys.ts'
import { type Running, set, sync, TestHomes, typeText, valueOf } from './test-homes.ts'

let sodium: Sodium
let homes: TestHomes

beforeEach(async () => {
  sodium = await loadSodium()
  homes = await TestHomes.make(sodium)
})
afterEach(() => homes.remove())

/** Changes what lies on the disk of a home that is stopped. */
async function vandalise(home: string, change: (raw: Raw, blocks: Uint8Array[]) => Promise<void>): Promise<void> {
  const raw: Raw = new Level(join(homes.directory, home), { keyEncoding: 'view', valueEncoding: 'view' })
  const prefix = documentPrefix(documentIdOf(homes.semantic, sodium))
  const blocks = await raw.keys({ gte: prefix, lt: afterPrefix(prefix) }).all()
  await change(raw, blocks)
  await raw.close()
}
type Raw = Level<Uint8Array, Uint8Array>

async function flip(raw: Raw, key: Uint8Array | undefined, at: number): Promise<void> {
  if (key === undefined) return expect.fail('no such block')
  const value = Uint8Array.from((await raw.get(key)) ?? [])
  value[at % value.length]! ^= 1 << (at % 8)
  await raw.put(key, value)
}

/** Twelve blocks by home and two by office, the same at both. */
async function written(): Promise<{ home: Running; office: Running }> {
  const home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  for (let i = 0; i < 12; i++) await home.documents.write(homes.semantic, [set(`k${i % 5}`, `v${i}`)])
  await home.documents.write(homes.episodic, [set('other', 'document')])
  await sync(home.documents, office.documents, homes.semantic)
  await office.documents.write(homes.semantic, [set('k0', 'from office')])
  await office.documents.editText(homes.semantic, typeText(0, 'a text'))
  await sync(office.documents, home.documents, homes.semantic)
  return { home, office }
}

async function expectMended(home: Running, office: Running): Promise<void> {
  const reading = home.documents.open(homes.semantic)
  await expect(reading).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
  await expect(home.documents.write(homes.semantic, [set('k0', 'x')])).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
  expect(await valueOf(home.documents, homes.episodic, 'other')).toBe('document')
  await sync(office.documents, home.documents, homes.semantic, 1)
  const mended = await home.documents.open(homes.semantic)
  const whole = await office.documents.open(homes.semantic)
  expect(mended.digest()).toEqual(whole.digest())
  expect(mended.vector).toEqual(whole.vector)
  expect(home.warnings).toEqual([])
  await home.documents.write(homes.semantic, [set('k0', 'after')])
  await sync(home.documents, office.documents, homes.semantic)
  expect(await valueOf(office.documents, homes.semantic, 'k0')).toBe('after')
}

test('flipped blocks are refused, asked for again and written back, one by one', async () => {
  const { home, office } = await written()
  await homes.stop(home)
  await vandalise('home', async (raw, blocks) => {
    for (const at of [0, 4, 5, 11, 13]) await flip(raw, blocks[at], 17 * at + 3)
  })
  await expectMended(await homes.start('home', homes.mesh.home), office)
})

test('deleted blocks are missed, the last of an incarnation as well', async () => {
  const { home, office } = await written()
  await homes.stop(home)
  await vandalise('home', async (raw, blocks) => {
    for (const at of [2, 3, 10, 11, 12, 13]) await raw.del(blocks[at]!)
  })
  await expectMended(await homes.start('home', homes.mesh.home), office)
})

test('a document of which nothing is left is refused, and comes back whole', async () => {
  const { home, office } = await written()
  await homes.stop(home)
  await vandalise('home', async (raw, blocks) => {
    for (const key of blocks) await raw.del(key)
  })
  await expectMended(await homes.start('home', homes.mesh.home), office)
})

test('what is missing stays known over a restart, though the bytes that showed it are put aside', async () => {
  const { home, office } = await written()
  await homes.stop(home)
  await vandalise('home', async (raw, blocks) => {
    for (const key of blocks) if (dotOfKey(key).sequence >= 11) await flip(raw, key, 40)
  })
  const again = await homes.start('home', homes.mesh.home)
  await expect(again.documents.open(homes.semantic)).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
  await homes.stop(again)
  await expectMended(await homes.start('home', homes.mesh.home), office)
})

test('a block under a key that has changed is put back into its place without anybody', async () => {
  const { home } = await written()
  const before = (await home.documents.open(homes.semantic)).digest()
  await homes.stop(home)
  await vandalise('home', async (raw, blocks) => {
    const key = blocks[3]
    if (key === undefined) return expect.fail()
    const value = await raw.get(key)
    const other = Uint8Array.from(key)
    other[50]! ^= 4
    await raw.batch([
      { type: 'del', key },
      { type: 'put', key: other, value: value! },
    ])
  })
  const again = await homes.start('home', homes.mesh.home)
  expect((await again.documents.open(homes.semantic)).digest()).toEqual(before)
})

test('damage under an open document is found by looking, and heals', async () => {
  const { home, office } = await written()
  const blocks = home.store
  const prefix = documentPrefix(documentIdOf(homes.semantic, sodium))
  const keys: Uint8Array[] = []
  for await (const [key] of blocks.read({ from: prefix, to: afterPrefix(prefix) })) keys.push(key)
  await blocks.commit([{ type: 'delete', key: keys[4]! }])
  expect(await valueOf(home.documents, homes.semantic, 'k0')).toBe('from office')
  expect(await home.documents.examine(homes.semantic)).toMatchObject({ damaged: true })
  await expectMended(home, office)
})

test('a damaged index entry does not keep the node from starting', async () => {
  const { home } = await written()
  await homes.stop(home)
  await vandalise('home', (raw) => flip(raw, documentKey(documentIdOf(homes.semantic, sodium)), 3))
  const again = await homes.start('home', homes.mesh.home)
  expect(again.documents.names()).toHaveLength(2)
  expect(await valueOf(again.documents, homes.semantic, 'k0')).toBe('from office')
})

import { join } from 'node:path'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { Level } from 'level'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { afterPrefix, documentPrefix, dotOfKey, TABLES, tablePrefix } from '../store/keys.ts'
import { type Running, set, sync, TestHomes, typeText, valueOf } from './test-homes.ts'

let sodium: Sodium
let homes: TestHomes

beforeEach(async () => {
  sodium = await loadSodium()
  homes = await TestHomes.make(sodium)
})
afterEach(() => homes.remove())

const remove = (key: string) => ({ type: 'delete', key }) as const

/** Takes those blocks of one incarnation off the disk of a home that is running, and starts it again. */
async function lose(home: Running, name: DocumentName, sequences: readonly number[]): Promise<Running> {
  const { incarnation } = home.documents
  await homes.stop(home)
  const raw = new Level<Uint8Array, Uint8Array>(join(homes.directory, 'home'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
  })
  const prefix = documentPrefix(documentIdOf(name, sodium))
  for (const key of await raw.keys({ gte: prefix, lt: afterPrefix(prefix) }).all()) {
    const dot = dotOfKey(key)
    if (dot.incarnation === incarnation && sequences.includes(dot.sequence)) await raw.del(key)
  }
  await raw.close()
  const again = await homes.start('home', homes.mesh.home)
  await expect(again.documents.open(name)).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
  return again
}

async function contents(home: Running, name: DocumentName): Promise<Record<string, string | undefined>> {
  const document = await home.documents.open(name)
  const keys = [...document.keys()].toSorted()
  return Object.fromEntries(keys.map((key) => [key, document.read(key)?.value]))
}

test('what lies behind a lost block is written again, and stays over a restart', async () => {
  const home = await homes.start('home', homes.mesh.home)
  for (let i = 0; i < 12; i++) await home.documents.write(homes.semantic, [set(`k${i % 5}`, `v${i}`)])
  const before = await contents(home, homes.semantic)
  const again = await lose(home, homes.semantic, [4])
  expect(await again.documents.acceptLoss(homes.semantic)).toEqual({ missing: 1, rewritten: 5, unwritten: 0 })
  expect(await contents(again, homes.semantic)).toEqual(before)
  await again.documents.write(homes.semantic, [set('k0', 'afterwards')])
  await homes.stop(again)
  const third = await homes.start('home', homes.mesh.home)
  expect(await contents(third, homes.semantic)).toEqual({ ...before, k0: 'afterwards' })
  expect(await third.documents.examine(homes.semantic)).toMatchObject({ damaged: false })
})

test('only the lost block is given up: what it alone said is gone, what it replaced is back', async () => {
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.semantic, [set('old', 'first')])
  await home.documents.write(homes.semantic, [set('old', 'second'), set('only', 'here')])
  await home.documents.write(homes.semantic, [set('other', 'whole')])
  const again = await lose(home, homes.semantic, [2])
  expect(await again.documents.acceptLoss(homes.semantic)).toEqual({ missing: 1, rewritten: 1, unwritten: 0 })
  expect(await contents(again, homes.semantic)).toEqual({ old: 'first', other: 'whole' })
})

test('a deletion behind the hole stays a deletion, and what others wrote since stands', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  await home.documents.write(homes.semantic, [set('gone', 'still here'), set('k', 'first')])
  await home.documents.write(homes.semantic, [set('lost', 'with its block')])
  await home.documents.write(homes.semantic, [remove('gone'), set('k', 'second')])
  await sync(home.documents, office.documents, homes.semantic)
  await office.documents.write(homes.semantic, [set('k', 'newer')])
  await sync(office.documents, home.documents, homes.semantic)
  const again = await lose(home, homes.semantic, [2])
  expect(await again.documents.acceptLoss(homes.semantic)).toEqual({ missing: 1, rewritten: 1, unwritten: 0 })
  expect(await contents(again, homes.semantic)).toEqual({ k: 'newer' })
})

test('whoever has the lost block all the same ends equal with the one that gave it up', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  for (let i = 0; i < 6; i++) await home.documents.write(homes.semantic, [set(`k${i % 3}`, `v${i}`)])
  await sync(home.documents, office.documents, homes.semantic)
  const again = await lose(home, homes.semantic, [2, 3])
  await again.documents.acceptLoss(homes.semantic)
  await again.documents.write(homes.semantic, [set('k1', 'after the loss')])
  await sync(again.documents, office.documents, homes.semantic)
  await sync(office.documents, again.documents, homes.semantic)
  const [mine, theirs] = [await again.documents.open(homes.semantic), await office.documents.open(homes.semantic)]
  expect(mine.digest()).toEqual(theirs.digest())
  expect(mine.vector).toEqual(theirs.vector)
  expect(mine.forks()).toEqual([])
  expect(await valueOf(office.documents, homes.semantic, 'k1')).toBe('after the loss')
})

test('an edit of a text behind the hole is lost with it, and the text can be written to again', async () => {
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.editText(homes.semantic, typeText(0, 'one '))
  await home.documents.editText(homes.semantic, typeText(4, 'two '))
  await home.documents.editText(homes.semantic, typeText(8, 'three'))
  const again = await lose(home, homes.semantic, [2])
  expect(await again.documents.acceptLoss(homes.semantic)).toEqual({ missing: 1, rewritten: 0, unwritten: 0 })
  await again.documents.editText(homes.semantic, typeText(4, 'again'))
  expect((await again.documents.open(homes.semantic)).text('notes')).toBe('one again')
})

test('a document of which nothing is left is forgotten, and may begin anew', async () => {
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.semantic, [set('k', 'v')])
  const again = await lose(home, homes.semantic, [1])
  expect(await again.documents.acceptLoss(homes.semantic)).toMatchObject({ rewritten: 0 })
  expect(again.documents.names()).toEqual([])
  await again.documents.write(homes.semantic, [set('k', 'anew')])
  await homes.stop(again)
  const third = await homes.start('home', homes.mesh.home)
  expect(await contents(third, homes.semantic)).toEqual({ k: 'anew' })
})

test('the blocks behind the hole are kept as evidence', async () => {
  const home = await homes.start('home', homes.mesh.home)
  for (let i = 0; i < 5; i++) await home.documents.write(homes.semantic, [set(`k${i}`, `v${i}`)])
  const again = await lose(home, homes.semantic, [3])
  await again.documents.acceptLoss(homes.semantic)
  const kept: number[] = []
  const from = tablePrefix(TABLES.aside)
  for await (const { key } of again.store.examine({ from, to: afterPrefix(from) }))
    kept.push(dotOfKey(key.subarray(1)).sequence)
  expect(kept).toEqual([4, 5])
})

test('what a node may not write any more is given up with the loss, and said', async () => {
  const home = await homes.start('home', homes.mesh.home)
  for (let i = 0; i < 5; i++) await home.documents.write(homes.session, [set(`k${i}`, `v${i}`)])
  const again = await lose(home, homes.session, [3])
  homes.mesh.assign(2, homes.mesh.office)
  await again.documents.meshChanged()
  expect(await again.documents.acceptLoss(homes.session)).toEqual({ missing: 1, rewritten: 0, unwritten: 2 })
  expect(again.documents.names()).toEqual([homes.session])
})

import { isMerged } from '@sealmesh/protocol/crdt/merged'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { loadSodium } from '@sealmesh/sodium/load'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { afterPrefix, documentPrefix } from '../store/keys.ts'
import { type Running, set, sync, TestHomes } from './test-homes.ts'

let homes: TestHomes
beforeEach(async () => {
  homes = await TestHomes.make(await loadSodium())
})
afterEach(() => homes.remove())

/** Asks twice, so that what is known is asked as well; and compares it with the document itself. */
async function expectTrue(home: Running, name: DocumentName) {
  await home.documents.facts(name)
  const facts = await home.documents.facts(name)
  const document = await home.documents.open(name)
  expect(facts).toEqual({
    counts: document.counts(),
    aside: document
      .aside()
      .filter(({ block }) => !isMerged(document, block))
      .map(({ block, reason }) => ({ block: block.hash, reason })),
  })
  return facts
}

test('a document is loaded once to sum it up, however many there are', async () => {
  const home = await homes.start('home', homes.mesh.home, { documentsOpenMax: 1 })
  const names = Array.from({ length: 5 }, (_, at) => ({ ...homes.semantic, layer: `layer${at}` }))
  for (const name of names) await home.documents.write(name, [set('k', 'v')])
  const opened = vi.spyOn(home.documents, 'openWhole')
  for (let round = 0; round < 3; round++) for (const name of names) await home.documents.facts(name)
  expect(opened).toHaveBeenCalledTimes(names.length)
  await home.documents.write(names[2]!, [set('other', 'v')])
  for (const name of names) await expectTrue(home, name)
  expect(opened).toHaveBeenCalledTimes(names.length + 1)
})

test('what is known follows writes, conflicts, deletions and texts, here and from elsewhere', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  await home.documents.write(homes.semantic, [set('k', 'home')])
  expect(await expectTrue(home, homes.semantic)).toMatchObject({ counts: { registers: 1, conflicts: 0 } })
  await office.documents.write(homes.semantic, [set('k', 'office')])
  await sync(office.documents, home.documents, homes.semantic)
  expect(await expectTrue(home, homes.semantic)).toMatchObject({ counts: { conflicts: 1 } })
  await home.documents.write(homes.semantic, [{ type: 'delete', key: 'k' }])
  await home.documents.editText(homes.semantic, (doc) => doc.getText('notes').insert(0, 'text'))
  expect(await expectTrue(home, homes.semantic)).toMatchObject({ counts: { texts: 1 } })
})

test('another mesh judges anew: a block that became late is counted, also in a document that is not open', async () => {
  const home = await homes.start('home', homes.mesh.home, { documentsOpenMax: 1 })
  await home.documents.write(homes.session, [set('k', 'v')])
  expect(await expectTrue(home, homes.session)).toMatchObject({ counts: { late: 0 }, aside: [] })
  await home.documents.write(homes.semantic, [set('k', 'v')])
  homes.mesh.assign(2, homes.mesh.office)
  await home.documents.meshChanged()
  expect(await expectTrue(home, homes.session)).toMatchObject({ counts: { late: 1 }, aside: [{ reason: 'LATE' }] })
})

test('of a document that turns out to be damaged nothing is known any more', async () => {
  const home = await homes.start('home', homes.mesh.home)
  for (let i = 0; i < 3; i++) await home.documents.write(homes.semantic, [set(`k${i}`, 'v')])
  await expectTrue(home, homes.semantic)
  const prefix = documentPrefix(documentIdOf(homes.semantic, homes.mesh.sodium))
  const keys: Uint8Array[] = []
  for await (const [key] of home.store.read({ from: prefix, to: afterPrefix(prefix) })) keys.push(key)
  await home.store.commit([{ type: 'delete', key: keys[1]! }])
  await home.documents.examine(homes.semantic)
  expect(await home.documents.facts(homes.semantic)).toBeUndefined()
  await home.documents.acceptLoss(homes.semantic)
  expect(await expectTrue(home, homes.semantic)).toMatchObject({ counts: { registers: 2 } })
})

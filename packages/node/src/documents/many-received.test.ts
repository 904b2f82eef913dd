import type { Block } from '@sealmesh/protocol/crdt/block'
import { signBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { blocksOfRuns } from './many-incarnations.ts'
import { type Running, set, TestHomes, typeText, valueOf } from './test-homes.ts'
import { oldBlock } from './test-old-block.ts'

/** One writer may begin as many runs as it likes, and whoever writes after that has received all of them. */

let sodium: Sodium
let homes: TestHomes
let home: Running

beforeAll(async () => {
  sodium = await loadSodium()
})

beforeEach(async () => {
  homes = await TestHomes.make(sodium)
  home = await homes.start('home', homes.mesh.home)
})

afterEach(() => homes.remove())

const bring = (blocks: readonly Block[]) => home.documents.receive(blocks.map(({ bytes }) => bytes))

/** Hashes of all that the blocks of the present run say to have been received. */
async function saidNow(): Promise<Set<string>> {
  const { above } = await home.documents.stored(homes.semantic)
  const own = above.filter(({ header }) => header.incarnation === home.documents.incarnation)
  for (const { header } of own) expect(header.received.length).toBeLessThanOrEqual(1_024)
  return new Set(own.flatMap(({ header }) => header.received.map(({ hash }) => hash)))
}

test('whoever has received five thousand runs of one writer writes all the same, and says all of them', async () => {
  await home.documents.write(homes.semantic, [set('a', 'before')])
  const blocks = blocksOfRuns(homes, sodium, homes.semantic, [homes.mesh.office], 5_000)
  await bring(blocks)
  await home.documents.write(homes.semantic, [set('b', 'v'.repeat(131_000))])
  const hashes = blocks.map(({ hash }) => hash)
  const said = await saidNow()
  expect(hashes.every((hash) => said.has(hash))).toBe(true)
  await homes.stop(home)
  home = await homes.start('home', homes.mesh.home)
  await home.documents.editText(homes.semantic, typeText(0, 'after a start'))
  const again = await saidNow()
  expect(hashes.every((hash) => again.has(hash))).toBe(true)
  expect((await home.documents.open(homes.semantic)).text('notes')).toBe('after a start')
  // Nothing of that is said twice.
  const count = (await home.documents.open(homes.semantic)).counts().received
  await home.documents.write(homes.semantic, [set('c', 'last')])
  expect((await home.documents.open(homes.semantic)).counts().received).toBe(count + 1)
}, 60_000)

test('a run of as many branches is received by whoever writes after that', async () => {
  const { office } = homes.mesh
  const { header } = oldBlock(homes, sodium, office, [{ ...set('k', 'v'), replaces: [] }])
  const blocks = Array.from({ length: 1_500 }, (_, at) =>
    signBlock({ ...header, writes: [{ ...set('k', `${at}`), replaces: [] }] }, office.keys.secretKey, sodium),
  )
  await bring(blocks)
  await home.documents.write(homes.semantic, [set('b', 'of home')])
  const said = await saidNow()
  expect(blocks.every(({ hash }) => said.has(hash))).toBe(true)
  expect(await valueOf(home.documents, homes.semantic, 'b')).toBe('of home')
}, 60_000)

import type { BlockHash, IncarnationId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { Compaction } from './compaction.ts'
import { type Running, set, TestHomes, valueOf } from './test-homes.ts'
import { oldBlock } from './test-old-block.ts'

/** A writer may put into its clocks what it likes: what lies above a base, what nobody has, and as much as fits. */

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

const compact = (running: Running, historyMs?: number): Promise<boolean> =>
  new Compaction({
    documents: running.documents,
    node: homes.mesh.home.id,
    mesh: () => homes.mesh.mesh,
    receipted: () => running.documents.vectorOf(homes.semantic),
    log: { info: () => {}, warn: () => {} },
    floorBytes: 0,
    ...(historyMs === undefined ? {} : { historyMs, historyBytes: 0 }),
  }).compact(homes.semantic)

const nowhere = (count: number) =>
  Array.from({ length: count }, (_, at) => ({
    incarnation: (at + 1).toString(16).padStart(32, '0') as IncarnationId,
    sequence: 7,
    hash: (at + 1).toString(16).padStart(64, '0') as BlockHash,
  }))

test('T-peer-3: no base is drawn of which a row could not be read back', async () => {
  await home.documents.write(homes.semantic, [set('kept', 'of home')])
  expect(await compact(home, -60_000)).toBe(true)
  const replaces = nowhere(1_024)
  const writes = Array.from({ length: 20 }, (_, at) => ({ ...set(`k${at}`, 'v'), replaces }))
  const block = oldBlock(homes, sodium, homes.mesh.office, writes)
  expect(await home.documents.receive([block.bytes])).toMatchObject([{ stored: 1 }])
  expect(await compact(home, -60_000)).toBe(false)
  await homes.stop(home)
  home = await homes.start('home', homes.mesh.home)
  expect(await valueOf(home.documents, homes.semantic, 'kept')).toBe('of home')
  expect(await valueOf(home.documents, homes.semantic, 'k19')).toBe('v')
  expect((await home.documents.examine(homes.semantic)).damaged).toBe(false)
})

test('T-peer-3: a tombstone below a base stays while what it replaces lies above', async () => {
  await home.documents.write(homes.semantic, [set('k', 'of home')])
  const { above } = await home.documents.stored(homes.semantic)
  const [word] = above
  const { incarnation, sequence } = word!.header
  const replaces = [{ incarnation, sequence, hash: word!.hash }]
  // It does not say that its author had received what it replaces.
  const block = oldBlock(homes, sodium, homes.mesh.office, [{ type: 'delete', key: 'k', replaces }])
  await home.documents.receive([block.bytes])
  expect(await valueOf(home.documents, homes.semantic, 'k')).toBeUndefined()
  expect(await compact(home)).toBe(true)
  await homes.stop(home)
  home = await homes.start('home', homes.mesh.home)
  expect((await home.documents.stored(homes.semantic)).above.map(({ hash }) => hash)).toEqual([word!.hash])
  expect(await valueOf(home.documents, homes.semantic, 'k')).toBeUndefined()
})

test('what names a thousand blocks can be overwritten all the same, and keeps nothing else from being written', async () => {
  const { office } = homes.mesh
  const old = oldBlock(homes, sodium, office, [{ ...set('k', 'of office'), replaces: nowhere(1_024) }])
  await home.documents.receive([old.bytes])
  await Promise.all(['other', 'k'].map((key) => home.documents.write(homes.semantic, [set(key, 'of home')])))
  await homes.stop(home)
  // As another run of the node, which replaces what the first one wrote.
  home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.semantic, [set('k', 'again')])
  const blocks = (await home.documents.stored(homes.semantic)).above
  const other = await homes.start('office', office)
  await other.documents.receive(blocks.toReversed().map(({ bytes }) => bytes))
  const [one, two] = [await home.documents.open(homes.semantic), await other.documents.open(homes.semantic)]
  expect(two.digest()).toEqual(one.digest())
  for (const document of [one, two]) expect(document.siblings('k').map(({ value }) => value)).toEqual(['again'])
})

import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { extendChain } from '@sealmesh/protocol/crdt/closed-set'
import { prune } from '@sealmesh/protocol/crdt/pruned'
import { encodeRow } from '@sealmesh/protocol/crdt/row'
import type { BlockHash } from '@sealmesh/protocol/ids'
import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { set, TestHomes } from './test-homes.ts'
import { oldBlock } from './test-old-block.ts'

/** Counts what a document's ends are asked with. */
const loaded = await loadSodium()
let hashed = 0
const sodium: typeof loaded = Object.assign(Object.create(loaded) as typeof loaded, {
  hash: (...given: Parameters<typeof loaded.hash>) => {
    hashed += 1
    return loaded.hash(...given)
  },
})
let homes: TestHomes

beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})

afterEach(() => homes.remove())

test('a base that is refused costs what its packet holds, not what a set of its ends names', async () => {
  const { semantic, mesh } = homes
  const { agent, office } = mesh
  const to = { type: 'node', node: office.id } as const
  mesh.append({ type: 'grant', agent, layer: 'semantic', to, access: 'write' }, 'agent')
  const home = await homes.start('home', mesh.home)
  await home.documents.write(semantic, [set('k', 'of home')])
  const [own] = await home.documents.vectorOf(semantic)
  const block = oldBlock(homes, sodium, office, [{ ...set('z', 'of office'), replaces: [] }])
  const id = documentIdOf(semantic, sodium)
  const made = Array.from({ length: 4_096 }, () => ({
    incarnation: homes.mint(office),
    sequence: 1,
    hash: 'ab'.repeat(32) as BlockHash,
  }))
  const named = [...made.slice(1), { incarnation: block.header.incarnation, sequence: 1, hash: block.hash }]
  const links = extendChain(id, [], named, sodium)
  await home.closed.take(id, links, office.id)
  const kept = new Map([['z', { open: [], met: [] }]])
  const item: PrunedItem = {
    type: 'pruned',
    document: semantic,
    floor: { digest: links.at(-1)!.digest, upTo: null },
    ends: [{ dot: { ...own!, sequence: 2 }, heard: [] }],
    rows: [{ after: 0, bytes: encodeRow(prune(block, kept, sodium)) }],
  }
  hashed = 0
  expect(await home.documents.receivePruned([item], office.id)).toMatchObject([{ stored: 0, refused: 1 }])
  expect(home.warnings).toMatchObject([{ code: 'OWN_BLOCKS_BELOW_BASE' }])
  expect(hashed).toBeLessThan(200)
})

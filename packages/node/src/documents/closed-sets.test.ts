import { encode } from '@sealmesh/protocol/bytes'
import { decodeBlock, documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { compareDots, writeClock } from '@sealmesh/protocol/crdt/clock'
import { type ClosedLink, extendChain, makeLink } from '@sealmesh/protocol/crdt/closed-set'
import { writeFloor } from '@sealmesh/protocol/crdt/floor'
import type { BlockHash } from '@sealmesh/protocol/ids'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { closedKey, floorKey, peerKey, TABLES } from '../store/keys.ts'
import { ReceiptStore } from '../store/receipt-store.ts'
import { ClosedScene, endOf } from '../sync/test-closed.ts'
import { blocksOfRuns } from './many-incarnations.ts'
import { set, valueOf } from './test-homes.ts'

let scene: ClosedScene

beforeEach(async () => {
  scene = await ClosedScene.make()
})

afterEach(() => scene.remove())

test('a set of wrong hashes or lower sequences is never stood on, nor is one that is only as good', async () => {
  const home = await scene.start('home', 4)
  await scene.fill(home, 20)
  expect(await scene.compact(home, 'home')).toBe(true)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const own = (await scene.floorOf(home))!
  const named = (await home.closed.of(id)).entries(own)!
  // Two blocks each, so that a lower sequence can be named.
  await home.documents.write(scene.semantic, [set('a', '1')])
  await home.documents.write(scene.semantic, [set('a', '2')])
  const ends = await home.documents.vectorOf(scene.semantic)
  expect(named.length).toBeLessThan(ends.length)
  const lower = ends.map((end) =>
    end.sequence > 1 ? { ...end, sequence: 1, hash: 'b1'.repeat(32) as BlockHash } : end,
  )
  const useless = ends.map((end) => ({ ...end, hash: 'b1'.repeat(32) as BlockHash }))
  const same = named
    .slice(1)
    .concat(lower.filter(({ hash }) => hash === 'b1'.repeat(32)))
    .toSorted(compareDots)
  for (const entries of [useless, same, named.slice(1)]) {
    const link = makeLink({ document: id, parent: null, count: entries.length, entries }, scene.sodium)
    expect(await home.closed.take(id, [link], scene.homes.mesh.office.id)).toBe(true)
    await home.closed.standOnBest(id, ends)
    expect(await scene.floorOf(home)).toBe(own)
  }
  const better = makeLink({ document: id, parent: null, count: ends.length, entries: ends }, scene.sodium)
  expect(await home.closed.take(id, [better], scene.homes.mesh.office.id)).toBe(true)
  await home.closed.standOnBest(id, ends)
  expect(await scene.floorOf(home)).toBe(better.digest)
})

test('what a set names elsewhere than where it ended counts as not named when the next one is made', async () => {
  for (let run = 0; run < 6; run++) {
    const home = await scene.start('home', 4)
    if (run === 0) await scene.fill(home, 20)
    for (const value of ['1', '2']) await home.documents.write(scene.semantic, [set(`run ${run}`, value)])
    await scene.homes.stop(home)
  }
  const home = await scene.start('home', 4)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const ends = await home.documents.vectorOf(scene.semantic)
  expect(ends.filter(({ sequence }) => sequence === 2)).toHaveLength(6)
  const entries = ends.map((end) => ({ ...end, ...(end.sequence === 2 ? endOf(end.incarnation) : {}) }))
  const useless = makeLink({ document: id, parent: null, count: entries.length, entries }, scene.sodium)
  expect(await home.closed.take(id, [useless], scene.homes.mesh.office.id)).toBe(true)
  expect(await scene.compact(home, 'home')).toBe(true)
  const floors = await home.closed.floorsOf(scene.semantic)
  expect(floors.current).not.toBe(useless.digest)
  const named = floors.entries(floors.current!)!
  expect(named.length).toBeGreaterThanOrEqual(25)
  for (const entry of named) expect(ends).toContainEqual(entry)
})

test('a set of which one copy is damaged is whole, and has two copies again', async () => {
  const home = await scene.start('home', 4)
  await scene.fill(home, 20)
  expect(await scene.compact(home, 'home')).toBe(true)
  await home.documents.write(scene.semantic, [set('a', 'over the set')])
  const id = documentIdOf(scene.semantic, scene.sodium)
  const digest = (await scene.floorOf(home))!
  let running = home
  for (const table of [TABLES.closed, TABLES.closedTwin] as const) {
    await running.store.commit([{ type: 'put', key: closedKey(table, id, digest), value: new Uint8Array(80) }])
    await scene.homes.stop(running)
    running = await scene.start('home', 4)
    expect(await valueOf(running.documents, scene.semantic, 'a')).toBe('over the set')
    expect(running.closed.missing.size).toBe(0)
  }
  await running.store.commit([{ type: 'delete', key: closedKey(TABLES.closedTwin, id, digest) }])
  await scene.homes.stop(running)
  running = await scene.start('home', 4)
  expect(await running.store.get(closedKey(TABLES.closedTwin, id, digest))).toBeDefined()
})

test('which set a document stands on is found again where the word of it was damaged', async () => {
  const home = await scene.start('home', 4)
  await scene.fill(home, 20)
  expect(await scene.compact(home, 'home')).toBe(true)
  const digest = await scene.floorOf(home)
  const id = documentIdOf(scene.semantic, scene.sodium)
  await home.store.commit([{ type: 'put', key: floorKey(id), value: new Uint8Array(3) }])
  await scene.homes.stop(home)
  const again = await scene.start('home', 4)
  await again.documents.write(scene.semantic, [set('a', 'of the next run')])
  expect(await scene.floorOf(again)).toBe(digest)
  expect((await scene.blockOf(again, 'a')).header.floor).toEqual({ digest, upTo: null })
})

test('sets with one beginning are held once, and put together for a few of them', async () => {
  const home = await scene.start('home', 4)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const dots = Array.from({ length: 2_048 }, () => endOf(scene.homes.mint(scene.homes.mesh.office)))
  const links = extendChain(id, [], dots, scene.sodium)
  await home.closed.take(id, links, scene.homes.mesh.office.id)
  const { digest: parent, count } = links.at(-1)!
  const open = await home.closed.of(id)
  const leaves: ClosedLink[] = []
  for (let made = 0; made < 12; made++) {
    const entries = [endOf(scene.homes.mint(scene.homes.mesh.office))]
    const leaf = makeLink({ document: id, parent, count: count + 1, entries }, scene.sodium)
    expect(await home.closed.take(id, [leaf], scene.homes.mesh.office.id)).toBe(true)
    expect(open.entries(leaf.digest)).toEqual([...dots, ...entries].toSorted(compareDots))
    leaves.push(leaf)
  }
  const [first, last] = [leaves[0]!, leaves.at(-1)!].map(({ digest }) => open.parts(digest)!)
  expect(first!.slice(0, 2).every((part, at) => part === last![at])).toBe(true)
  const again = leaves.map(({ digest }) => open.entries(digest))
  expect(leaves.filter(({ digest }, at) => open.entries(digest) === again[at]).length).toBeLessThanOrEqual(4)
})

test('a set that only a stored receipt stands on stays when others give way', async () => {
  const home = await scene.start('home', 4)
  await scene.fill(home, 20)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const ends = await home.documents.vectorOf(scene.semantic)
  const named = makeLink({ document: id, parent: null, count: 12, entries: ends.slice(0, 12) }, scene.sodium)
  expect(await home.closed.take(id, [named], scene.homes.mesh.office.id)).toBe(true)
  const floor = { digest: named.digest, upTo: null }
  const value = encode((w) => {
    writeFloor(w, floor)
    writeClock(w, ends.slice(12))
  })
  const key = peerKey(TABLES.handed, scene.homes.mesh.office.id, scene.semantic)
  await home.store.commit([{ type: 'put', key, value }])
  for (let made = 0; made < 600; made++)
    await home.closed.take(id, [scene.linkOf([scene.homes.mint(scene.homes.mesh.office)])], scene.homes.mesh.office.id)
  expect(home.closed.knows(id, named.digest)).toBe(true)
  const handed = new ReceiptStore(home.store, TABLES.handed, home.closed)
  expect(await handed.read(scene.homes.mesh.office.id, scene.semantic)).toEqual(ends)
}, 60_000)

test('runs that begin over a set are sent after all others', async () => {
  const home = await scene.start('home', 4)
  const { office } = scene.homes.mesh
  const id = documentIdOf(scene.semantic, scene.sodium)
  const link = scene.linkOf([scene.homes.mint(office)])
  await home.closed.take(id, [link], null)
  // The oldest of all.
  const floor = { digest: link.digest, upTo: null }
  const [over] = blocksOfRuns(scene.homes, scene.sodium, scene.semantic, [office], 1, { floor })
  const others = blocksOfRuns(scene.homes, scene.sodium, scene.semantic, [office], 20).slice(1)
  await home.documents.receive([over!, ...others].map(({ bytes }) => bytes))
  const { blocks } = await home.documents.after(scene.semantic, [], Number.POSITIVE_INFINITY)
  const hashes = blocks.map((bytes) => {
    const block = decodeBlock(bytes, scene.sodium)
    return block.ok ? block.value.hash : undefined
  })
  expect(hashes).toEqual([...others, over!].map(({ hash }) => hash))
})

import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { compareDots } from '@sealmesh/protocol/crdt/clock'
import { extendChain, makeLink } from '@sealmesh/protocol/crdt/closed-set'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Running } from '../documents/test-homes.ts'
import { peerKey, TABLES } from '../store/keys.ts'
import { ReceiptStore } from '../store/receipt-store.ts'
import { ClosedScene, endOf } from './test-closed.ts'
import { exchangeBeside } from './test-exchange.ts'

let scene: ClosedScene

beforeEach(async () => {
  scene = await ClosedScene.make()
})

afterEach(() => scene.remove())

const exchangeOf = (running: Running) => exchangeBeside(scene, running)

test('a document of few incarnations, or without a set, costs no look at sets', async () => {
  const home = await scene.start('home', 4)
  const { shortened } = exchangeOf(home)
  await scene.fill(home, 20)
  const vector = await home.documents.vectorOf(scene.semantic)
  const look = vi.spyOn(home.closed, 'of')
  const receipts = new ReceiptStore(home.store, TABLES.receipt, home.closed)
  const say = async (said: typeof vector) => {
    const [item] = await shortened([
      { type: 'vectors', asks: true, documents: [{ document: scene.semantic, vector: said }] },
    ])
    await receipts.write(scene.homes.mesh.office.id, [{ document: scene.semantic, vector: said }])
    expect(await receipts.read(scene.homes.mesh.office.id, scene.semantic)).toEqual(said)
    return item?.type === 'vectors' ? item.documents[0]?.floor : undefined
  }
  expect(await say(vector)).toBeUndefined()
  const other = documentIdOf({ ...scene.semantic, layer: 'other' }, scene.sodium)
  const entries = [endOf(scene.homes.mint(scene.homes.mesh.office))]
  await home.closed.take(other, [makeLink({ document: other, parent: null, count: 1, entries }, scene.sodium)], null)
  look.mockClear()
  expect(await say(vector)).toBeUndefined()
  expect(look).not.toHaveBeenCalled()
  expect(await scene.compact(home, 'home')).toBe(true)
  look.mockClear()
  expect(await say(vector.slice(0, 12))).toBeUndefined()
  expect(look).not.toHaveBeenCalled()
  expect(await say(vector)).toEqual({ digest: await scene.floorOf(home), upTo: null })
})

test('a peer’s word over its own set is as short on disk as it was on the way', async () => {
  const home = await scene.start('home', 4)
  const { open } = exchangeOf(home)
  const { office } = scene.homes.mesh
  await scene.fill(home, 20)
  expect(await scene.compact(home, 'home')).toBe(true)
  const id = documentIdOf(scene.semantic, scene.sodium)
  const dots = Array.from({ length: 2_000 }, () => endOf(scene.homes.mint(office))).toSorted(compareDots)
  const links = extendChain(id, [], dots, scene.sodium)
  await home.closed.take(id, links, office.id)
  const receipts = new ReceiptStore(home.store, TABLES.receipt, home.closed)
  for (const upTo of [null, dots[1_700]!.incarnation]) {
    const floor = { digest: links.at(-1)!.digest, upTo }
    const vector = [dots[1_900]!]
    const [item] = await open([
      { type: 'vectors', asks: false, documents: [{ document: scene.semantic, floor, vector }] },
    ])
    const said = item?.type === 'vectors' ? item.documents : []
    expect(said[0]!.vector).toHaveLength(upTo === null ? 2_000 : 1_702)
    await receipts.write(office.id, said)
    expect(await receipts.read(office.id, scene.semantic)).toEqual(said[0]!.vector)
    const stored = await home.store.get(peerKey(TABLES.receipt, office.id, scene.semantic))
    expect(stored!.length).toBeLessThan(200)
  }
})

import { randomBytes } from 'node:crypto'
import { equalBytes } from '@sealmesh/protocol/bytes'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { TestNode } from './fixture.ts'
import { set, TestHomes, valueOf } from './test-homes.ts'

let sodium: Sodium
let homes: TestHomes

beforeAll(async () => {
  sodium = await loadSodium()
})

beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})

afterEach(() => homes.remove())

test('a delta comes in steps of the asked size, oldest first, and ends where nothing is missing', async () => {
  const home = await homes.start('home', homes.mesh.home)
  for (let i = 0; i < 40; i++) await home.documents.write(homes.semantic, [set(`k${i}`, 'x'.repeat(100))])
  const office = await homes.start('office', homes.mesh.office)
  let steps = 0
  let vector: VersionVector = []
  for (let more = true; more; steps += 1) {
    const delta = await home.documents.after(homes.semantic, vector, 2_000)
    expect(delta.blocks.length).toBeGreaterThan(0)
    const [report] = await office.documents.receive(delta.blocks)
    expect(report).toMatchObject({ stored: delta.blocks.length, refused: 0, waiting: 0 })
    vector = delta.reached
    more = delta.more
  }
  expect(steps).toBeGreaterThan(3)
  expect(vector).toEqual(await home.documents.vectorOf(homes.semantic))
  expect((await home.documents.after(homes.semantic, vector, 2_000)).blocks).toEqual([])
  expect((await home.documents.after(homes.semantic, [], 1)).blocks).toHaveLength(1)
  const [mine, theirs] = await Promise.all([home.documents.open(homes.semantic), office.documents.open(homes.semantic)])
  expect(equalBytes(mine.digest(), theirs.digest())).toBe(true)
})

test('blocks in any order and repeated are stored once, in chain order', async () => {
  const home = await homes.start('home', homes.mesh.home)
  for (let i = 0; i < 6; i++) await home.documents.write(homes.semantic, [set(`k${i}`, 'x')])
  const { blocks } = await home.documents.after(homes.semantic, [], 1_000_000)
  const office = await homes.start('office', homes.mesh.office)
  const [first] = await office.documents.receive([...blocks.slice(1)].reverse())
  expect(first).toMatchObject({ stored: 0, waiting: 5 })
  expect(office.documents.names()).toEqual([])
  const [second] = await office.documents.receive([...blocks, ...blocks])
  expect(second).toMatchObject({ stored: 6, waiting: 0, refused: 0 })
  const [third] = await office.documents.receive(blocks)
  expect(third).toMatchObject({ stored: 0, waiting: 0, refused: 0 })
  await homes.stop(office)
  const again = await homes.start('office', homes.mesh.office)
  expect([...(await again.documents.open(homes.semantic)).keys()]).toHaveLength(6)
})

test('what is not a block, not of this mesh or not signed by its author is refused, and the rest is kept', async () => {
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.semantic, [set('a', '1')])
  await home.documents.write(homes.semantic, [set('b', '2')])
  const { blocks } = await home.documents.after(homes.semantic, [], 1_000_000)
  const forged = Uint8Array.from(blocks[1] ?? [])
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1
  const office = await homes.start('office', homes.mesh.office)
  const [report] = await office.documents.receive([
    blocks[0] ?? new Uint8Array(),
    forged,
    randomBytes(300),
    new Uint8Array(),
  ])
  expect(report?.stored).toBe(1)
  expect([...(await office.documents.open(homes.semantic)).keys()]).toEqual(['a'])
})

test('a block of somebody who is not known yet is not stored, and says which log heads are missing', async () => {
  const early = homes.mesh.mesh
  const writer: TestNode = homes.mesh.laptop
  const grant = homes.mesh.append(
    {
      type: 'grant',
      agent: homes.mesh.agent,
      layer: 'semantic',
      to: { type: 'node', node: writer.id },
      access: 'write',
    },
    homes.mesh.home,
  )
  const laptop = await homes.start('laptop', writer)
  await laptop.documents.write(homes.semantic, [set('a', '1')])
  const { blocks } = await laptop.documents.after(homes.semantic, [], 1_000_000)

  const withoutLaptop: Mesh = { ...early, nodes: new Map([...early.nodes].filter(([id]) => id !== writer.id)) }
  Object.assign(withoutLaptop, { isInPast: early.isInPast.bind(early) })
  let known = withoutLaptop
  const office = await homes.start('office', homes.mesh.office, { mesh: () => known })
  const [report] = await office.documents.receive(blocks)
  expect(report).toMatchObject({ stored: 0, waiting: 1, refused: 0, unknownHeads: [grant.hash] })
  expect(office.documents.names()).toEqual([])
  known = homes.mesh.mesh
  await office.documents.meshChanged()
  const [again] = await office.documents.receive(blocks)
  expect(again).toMatchObject({ stored: 1, unknownHeads: [] })
  expect(await valueOf(office.documents, homes.semantic, 'a')).toBe('1')
})

test('a block whose log heads have not arrived is kept, and folded when they have', async () => {
  const early = homes.mesh.mesh
  let known = early
  const office = await homes.start('office', homes.mesh.office, { mesh: () => known })
  const relay = homes.mesh.append({ type: 'relay', relays: [] }, 'root')
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.semantic, [set('a', '1')])
  const { blocks } = await home.documents.after(homes.semantic, [], 1_000_000)
  const [report] = await office.documents.receive(blocks)
  expect(report).toMatchObject({ stored: 1, unknownHeads: [relay.hash] })
  expect(await valueOf(office.documents, homes.semantic, 'a')).toBe(undefined)
  known = homes.mesh.mesh
  office.commits.length = 0
  await office.documents.meshChanged()
  expect(await valueOf(office.documents, homes.semantic, 'a')).toBe('1')
  expect(office.commits.flatMap((commit) => commit.changes)).toMatchObject([{ type: 'set', key: 'a', value: '1' }])
})

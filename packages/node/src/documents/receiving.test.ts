import { randomBytes } from 'node:crypto'
import { equalBytes } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { Document } from '@sealmesh/protocol/crdt/document'
import { HybridClock } from '@sealmesh/protocol/crdt/hybrid-time'
import { draftBlock, type WriterWorld } from '@sealmesh/protocol/crdt/writer'
import type { AgentId, IncarnationId, RecordHash } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { TestNode } from './fixture.ts'
import { set, sync, TestHomes, typeText, valueOf } from './test-homes.ts'

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

test('T-peer-1: what is not a block, not of this mesh or not signed by its author is refused, and the rest is kept', async () => {
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

test("T-peer-1: a member's signed block under another's incarnation changes nothing", async () => {
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.editText(homes.semantic, typeText(0, 'mine'))
  const office = await homes.start('office', homes.mesh.office)
  await sync(home.documents, office.documents, homes.semantic)
  const before = await office.documents.vectorOf(homes.semantic)
  // Office may write here: nothing but the incarnation is wrong, and at each place it would fork home's.
  const { incarnation } = home.documents
  const forged = [
    draft(homes.mesh.office, homes.semantic, { incarnation }),
    draft(homes.mesh.office, homes.semantic, { incarnation, on: await office.documents.open(homes.semantic) }),
    draft(homes.mesh.laptop, homes.semantic, { incarnation }),
  ]
  const reports = await office.documents.receive(forged)
  expect(reports).toMatchObject([{ stored: 0, refused: 3, waiting: 0, unknownHeads: [] }])
  expect(office.warnings).toMatchObject(forged.map(() => ({ code: 'INCARNATION_NOT_THEIRS' })))
  const document = await office.documents.open(homes.semantic)
  expect([document.text('notes'), document.forks(), document.aside()]).toEqual(['mine', [], []])
  expect(await office.documents.vectorOf(homes.semantic)).toEqual(before)
  await home.documents.editText(homes.semantic, typeText(4, ' still'))
  await sync(home.documents, office.documents, homes.semantic)
  expect((await office.documents.open(homes.semantic)).text('notes')).toBe('mine still')
})

test('an incarnation that a home takes later is its own, too', async () => {
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.session, [set('a', 'alone')])
  homes.mesh.assign(2, homes.mesh.office)
  const before = home.documents.incarnation
  await home.documents.meshChanged()
  expect(home.documents.incarnation).not.toBe(before)
  await home.documents.write(homes.semantic, [set('b', '1')])
  const office = await homes.start('office', homes.mesh.office)
  await sync(home.documents, office.documents, homes.semantic)
  expect(await valueOf(office.documents, homes.semantic, 'b')).toBe('1')
})

test('T-peer-2: blocks of a member that never had a right to the document are not stored', async () => {
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.semantic, [set('a', '1')])
  const vector = await home.documents.vectorOf(homes.semantic)
  // To read is no right to write, to host none to the holder's layer.
  homes.mesh.append(
    {
      type: 'grant',
      agent: homes.mesh.agent,
      layer: 'episodic',
      to: { type: 'node', node: homes.mesh.laptop.id },
      access: 'read',
    },
    homes.mesh.home,
  )
  const nobody: DocumentName = { agent: '77'.repeat(32) as AgentId, layer: 'semantic' }
  const reports = await home.documents.receive([
    draft(homes.mesh.laptop, homes.semantic),
    draft(homes.mesh.laptop, homes.episodic),
    draft(homes.mesh.laptop, homes.session),
    draft(homes.mesh.office, homes.session),
    draft(homes.mesh.laptop, nobody),
  ])
  const none = { stored: 0, waiting: 0, unknownHeads: [] }
  expect(reports).toMatchObject([1, 1, 2, 1].map((refused) => ({ ...none, refused })))
  expect(home.documents.names()).toEqual([homes.semantic])
  expect(await home.documents.vectorOf(homes.semantic)).toEqual(vector)
  for (const name of [homes.episodic, homes.session, nobody]) expect(await home.documents.vectorOf(name)).toEqual([])
})

test('blocks of a member without a right wait for log heads that may hold it, unstored', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const unknown = 'ab'.repeat(32) as RecordHash
  const nobody: DocumentName = { agent: '77'.repeat(32) as AgentId, layer: 'semantic' }
  const early = [homes.semantic, nobody].map((name) => draft(homes.mesh.laptop, name, { logHeads: [unknown] }))
  const reports = await home.documents.receive([...early, ...early])
  const waits = { stored: 0, refused: 0, waiting: 2, unknownHeads: [unknown] }
  expect(reports).toMatchObject([waits, waits])
  expect(home.documents.names()).toEqual([])
})

test('blocks of an author whose right has ended are stored, and counted by the cut', async () => {
  const early = homes.mesh.mesh
  const home = await homes.start('home', homes.mesh.home)
  const blocks = [draft(homes.mesh.office, homes.semantic, { logHeads: early.heads })]
  homes.mesh.assign(2, homes.mesh.office)
  const term = homes.mesh.mesh.agents.get(homes.mesh.agent)?.term
  const session = draft(homes.mesh.office, homes.session, { term: { number: 2, assign: term?.record as RecordHash } })
  homes.mesh.assign(3, homes.mesh.home)
  homes.mesh.append({ type: 'revoke', node: homes.mesh.office.id, reason: 'test', cuts: [] }, 'root')
  expect(await home.documents.receive([...blocks, session])).toMatchObject([
    { stored: 1, refused: 0 },
    { stored: 1, refused: 0 },
  ])
  expect((await home.documents.open(homes.semantic)).aside()).toMatchObject([{ reason: 'BEYOND_CUT' }])
})

test('whoever brings a block that cannot be folded is told, and others are served', async () => {
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.semantic, [set('a', '1')])
  const { blocks } = await home.documents.after(homes.semantic, [], 1_000_000)
  const office = await homes.start('office', homes.mesh.office)
  await office.documents.open(homes.semantic)
  office.database.hold()
  const { batches } = office.database
  // One batch is in flight, so that the next takes all three.
  const first = office.documents.write(homes.semantic, [set('first', '1')])
  await vi.waitFor(() => expect(office.database.batches).toBe(batches + 1))
  const original = Document.prototype.receive
  const receive = vi.spyOn(Document.prototype, 'receive').mockImplementation(function (this: Document, block, ...rest) {
    if (block.header.author === homes.mesh.home.id) throw new Error('the fold broke')
    return original.call(this, block, ...rest)
  })
  try {
    const outcomes = Promise.allSettled([
      first,
      office.documents.write(homes.semantic, [set('before', '1')]),
      office.documents.receive(blocks),
      office.documents.write(homes.semantic, [set('after', '1')]),
    ])
    office.database.release()
    const [, before, broken, after] = await outcomes
    expect([before.status, after.status]).toEqual(['fulfilled', 'fulfilled'])
    expect(broken).toMatchObject({ status: 'rejected', reason: { message: 'the fold broke' } })
  } finally {
    receive.mockRestore()
  }
  expect([...(await office.documents.open(homes.semantic)).keys()].toSorted()).toEqual(['after', 'before', 'first'])
  expect(await office.documents.receive(blocks)).toMatchObject([{ stored: 1 }])
  expect(await valueOf(office.documents, homes.semantic, 'a')).toBe('1')
})

/** A first block, or the next one `on` what its author has, truly signed by `node`. */
function draft(
  node: TestNode,
  name: DocumentName,
  given: Partial<Pick<WriterWorld, 'logHeads' | 'term'>> & { incarnation?: IncarnationId; on?: Document } = {},
): Uint8Array {
  const { incarnation = homes.mint(node), on = new Document(name, sodium), logHeads, term = null } = given
  const { mesh } = homes.mesh
  const author = { mesh: mesh.id, node: node.id, incarnation, signKey: node.keys.secretKey }
  const world = { clock: new HybridClock(), nowMs: Date.now(), logHeads: logHeads ?? mesh.heads, term }
  return draftBlock(on, author, [set('forged', 'x')], world, sodium).bytes
}

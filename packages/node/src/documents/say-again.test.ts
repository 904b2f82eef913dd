import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cutShort, type Running, set, sync, TestHomes, valueOf } from './test-homes.ts'

/** When the test's log was written: lapses and returns are of this hour. */
const NOW_MS = 1_700_000_000_000
const sodium = await loadSodium()
let homes: TestHomes
let home: Running
let office: Running

/** Office has come back from a lapse that it knows of, and has not caught up. */
beforeEach(async () => {
  homes = await TestHomes.make(sodium)
  const { agent, office: node, home: admin } = homes.mesh
  homes.mesh.append(
    { type: 'grant', agent, layer: 'semantic', to: { type: 'node', node: node.id }, access: 'write' },
    'agent',
  )
  let ms = NOW_MS
  const now = () => ms++
  home = await homes.start('home', homes.mesh.home, { now })
  office = await homes.start('office', node, { now })
  await home.documents.write(homes.semantic, [set('first', 'of home')])
  await sync(home.documents, office.documents, homes.semantic)
  homes.mesh.append({ type: 'lapse', node: node.id, cuts: [{ document: homes.semantic, vector: [] }] }, admin)
  homes.mesh.append(
    {
      type: 'prekey',
      node: node.id,
      publicKey: new Uint8Array(32) as never,
      notBeforeMs: 1,
      expiresMs: 10_000,
      mailboxes: new Uint8Array(32),
    },
    node,
  )
  for (const each of [home, office]) await each.documents.meshChanged()
})

afterEach(() => homes.remove())

const words = async () => new Map([[homes.mesh.home.id, await home.documents.vectorOf(homes.semantic)]])
const caughtUp = async () => office.documents.reached(homes.semantic, await words())
const siblingsOf = async (key: string, { documents } = office) =>
  (await documents.open(homes.semantic)).siblings(key).map(({ value }) => value)
const blockOf = async (key: string) => (await office.documents.open(homes.semantic)).read(key)?.dot.hash

test('what stands alone is said again; beside what somebody else wrote nothing is', async () => {
  await office.documents.write(homes.semantic, [set('both', 'of office'), set('alone', 'of office')])
  await home.documents.write(homes.semantic, [set('both', 'of home')])
  await sync(home.documents, office.documents, homes.semantic)
  const before = await blockOf('alone')
  await caughtUp()
  expect(new Set(await siblingsOf('both'))).toEqual(new Set(['of home', 'of office']))
  expect(await blockOf('alone')).not.toBe(before)
  expect(await valueOf(office.documents, homes.semantic, 'alone')).toBe('of office')
  await sync(office.documents, home.documents, homes.semantic)
  expect(new Set(await siblingsOf('both', home))).toEqual(new Set(['of home', 'of office']))
})

test('a deletion that is said again takes nothing of anybody else', async () => {
  await office.documents.write(homes.semantic, [set('both', 'of office')])
  await office.documents.write(homes.semantic, [{ type: 'delete', key: 'both' }])
  await home.documents.write(homes.semantic, [set('both', 'of home')])
  await sync(home.documents, office.documents, homes.semantic)
  await caughtUp()
  await sync(office.documents, home.documents, homes.semantic)
  for (const each of [home, office]) expect(await siblingsOf('both', each)).toContain('of home')
})

test('what arrives in the turn in which words are said again keeps its place', async () => {
  await office.documents.write(homes.semantic, [set('both', 'of office')])
  const said = await words()
  await home.documents.write(homes.semantic, [set('both', 'of home')])
  const { blocks } = await home.documents.after(
    homes.semantic,
    await office.documents.vectorOf(homes.semantic),
    100_000,
  )
  // Between a look at what stands and a write of its own.
  const { documents } = office
  const write = documents.write.bind(documents)
  documents.write = async (...asked) => {
    await documents.receive(blocks)
    return write(...asked)
  }
  await documents.reached(homes.semantic, said)
  await documents.receive(blocks)
  expect(await siblingsOf('both')).toContain('of home')
})

test('a later word of our own, said in the same turn, is not taken back', async () => {
  await office.documents.write(homes.semantic, [set('mine', 'early')])
  await Promise.all([office.documents.write(homes.semantic, [set('mine', 'late')]), caughtUp()])
  expect(await siblingsOf('mine')).toEqual(['late'])
})

test('a later deletion by somebody else is not taken back', async () => {
  await office.documents.write(homes.semantic, [set('first', 'of office')])
  await home.documents.write(homes.semantic, [{ type: 'delete', key: 'first' }])
  await sync(home.documents, office.documents, homes.semantic)
  await caughtUp()
  expect((await siblingsOf('first'))[0]).toBeUndefined()
})

test('that it has caught up is noted in the commit that says the words: none without the other, each once', async () => {
  await office.documents.write(homes.semantic, [set('alone', 'of office')])
  const before = await blockOf('alone')
  office.commits.length = 0
  const { database } = office
  database.full = true
  await expect(caughtUp()).rejects.toThrow()
  database.full = false
  expect(await blockOf('alone')).toBe(before)
  expect(office.documents.catchUp.documents()).toHaveLength(1)
  // The disk takes one batch more.
  const mend = cutShort(office, 1)
  await caughtUp().catch(() => undefined)
  mend()
  await Promise.all([caughtUp(), caughtUp()])
  expect(office.documents.catchUp.documents()).toEqual([])
  expect(office.commits.filter(({ local, blocks }) => local && blocks.length > 0)).toHaveLength(1)
})

import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { compareText, equalBytes } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
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

test('what the old holder wrote alone is set aside when the log moves the term, open or not, and it writes on afresh', async () => {
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.session, [set('a', 'alone')])
  await home.documents.editText(homes.session, typeText(0, 'alone'))
  const before = home.documents.incarnation
  const other = await homes.start('copy', homes.mesh.office)
  await sync(home.documents, other.documents, homes.session)
  await homes.stop(other)
  home.commits.length = 0

  homes.mesh.assign(2, homes.mesh.office)
  await home.documents.meshChanged()
  const document = await home.documents.open(homes.session)
  expect(document.read('a')).toBe(undefined)
  expect(document.text('notes') ?? '').toBe('')
  expect(document.aside().map(({ reason }) => reason)).toEqual(['LATE', 'LATE'])
  expect(home.commits.flatMap((commit) => commit.changes.map((change) => change.type)).toSorted(compareText)).toEqual([
    'delete',
    'text',
  ])
  expect(home.documents.incarnation).not.toBe(before)
  await expect(home.documents.write(homes.session, [set('a', 'x')])).rejects.toMatchObject({ code: 'NOT_THE_HOLDER' })

  const office = await homes.start('copy', homes.mesh.office)
  const fresh = await office.documents.open(homes.session)
  expect(equalBytes(fresh.digest(), document.digest())).toBe(true)
  await office.documents.write(homes.session, [set('a', 'office')])
  await office.documents.editText(homes.session, typeText(0, 'office'))
  await sync(office.documents, home.documents, homes.session)
  homes.mesh.assign(3, homes.mesh.home, [
    {
      layer: 'session',
      vector: await home.documents.vectorOf(homes.session),
      digest: (await home.documents.open(homes.session)).digest(),
    },
  ])
  await Promise.all([home.documents.meshChanged(), office.documents.meshChanged()])
  await home.documents.write(homes.session, [set('b', 'home again')])
  await home.documents.editText(homes.session, typeText(6, ' and home'))
  await sync(home.documents, office.documents, homes.session)
  const [mine, theirs] = await Promise.all([home.documents.open(homes.session), office.documents.open(homes.session)])
  expect([theirs.read('a')?.value, theirs.read('b')?.value, theirs.text('notes')]).toEqual([
    'office',
    'home again',
    'office and home',
  ])
  expect(equalBytes(mine.digest(), theirs.digest())).toBe(true)
})

test('a document that is written to without a pause is judged all the same', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  await office.documents.write(homes.semantic, [set('gone', '1')])
  await sync(office.documents, home.documents, homes.semantic)
  expect(await valueOf(home.documents, homes.semantic, 'gone')).toBe('1')
  homes.mesh.append({ type: 'revoke', node: homes.mesh.office.id, reason: 'test', cuts: [] }, 'root')
  let judged = false
  let writesBefore = 0
  // Two writers: there is always a next write in the queue when the one before it is answered.
  const writers = [0, 1].map(async (writer) => {
    for (; !judged && writesBefore < 1_000; writesBefore++) {
      await home.documents.write(homes.semantic, [set(`w${writer}`, `${writesBefore}`)])
    }
  })
  await home.documents.meshChanged()
  judged = true
  expect(writesBefore).toBeLessThan(1_000)
  expect(await valueOf(home.documents, homes.semantic, 'gone')).toBe(undefined)
  await Promise.all(writers)
})

test('T-revoked-1: what a removed node wrote beyond its cut stops counting', async () => {
  const office = await homes.start('office', homes.mesh.office)
  await office.documents.write(homes.semantic, [set('kept', '1')])
  const covered = await office.documents.vectorOf(homes.semantic)
  await office.documents.write(homes.semantic, [set('beyond', '2')])
  const home = await homes.start('home', homes.mesh.home)
  await sync(office.documents, home.documents, homes.semantic)
  expect(await valueOf(home.documents, homes.semantic, 'beyond')).toBe('2')
  homes.mesh.append(
    {
      type: 'revoke',
      node: homes.mesh.office.id,
      reason: 'test',
      cuts: [{ document: homes.semantic, vector: covered }],
    },
    'root',
  )
  await home.documents.meshChanged()
  expect([...(await home.documents.open(homes.semantic)).keys()]).toEqual(['kept'])
})

test('T-clone-1: a home that was copied notices its own unknown blocks, writes under a new incarnation, and both branches stay', async () => {
  const incarnation = homes.mint(homes.mesh.home)
  const home = await homes.start('home', homes.mesh.home, { incarnation })
  await home.documents.write(homes.semantic, [set('a', '1')])
  await homes.stop(home)
  await cp(join(homes.directory, 'home'), join(homes.directory, 'copy'), { recursive: true })
  const [first, copy] = [
    await homes.start('home', homes.mesh.home, { incarnation }),
    await homes.start('copy', homes.mesh.home, { incarnation }),
  ]
  await first.documents.write(homes.semantic, [set('b', 'first')])
  await copy.documents.write(homes.semantic, [set('c', 'copy')])
  const told: DocumentName[] = []
  first.documents.onRolledBack((name) => told.push(name))
  await sync(copy.documents, first.documents, homes.semantic)
  expect(told).toEqual([homes.semantic])
  expect(first.documents.incarnation).not.toBe(incarnation)
  const document = await first.documents.open(homes.semantic)
  expect(['a', 'b', 'c'].map((key) => document.read(key)?.value)).toEqual(['1', 'first', 'copy'])
  expect(document.forks()).toHaveLength(1)
  await first.documents.write(homes.semantic, [set('d', 'on')])

  await homes.stop(first)
  const again = await homes.start('home', homes.mesh.home)
  expect(await again.documents.vectorOf(homes.semantic)).toHaveLength(3)
  const office = await homes.start('office', homes.mesh.office)
  await sync(again.documents, office.documents, homes.semantic, 1)
  const [mine, theirs] = await Promise.all([
    again.documents.open(homes.semantic),
    office.documents.open(homes.semantic),
  ])
  expect(equalBytes(mine.digest(), theirs.digest())).toBe(true)
  expect((await again.documents.after(homes.semantic, theirs.vector, 1_000)).blocks).toEqual([])
})

test('T-peer-3: a block from far ahead is kept, shown when it is due, and no earlier', async () => {
  let nowMs = 1_800_000_000_000
  const home = await homes.start('home', homes.mesh.home, { now: () => nowMs + 10 * 60_000 })
  await home.documents.write(homes.semantic, [set('a', 'early')])
  const office = await homes.start('office', homes.mesh.office, { now: () => nowMs })
  await sync(home.documents, office.documents, homes.semantic)
  expect(await office.documents.vectorOf(homes.semantic)).toEqual(await home.documents.vectorOf(homes.semantic))
  await office.documents.meshChanged()
  expect(await valueOf(office.documents, homes.semantic, 'a')).toBe(undefined)
  nowMs += 6 * 60_000
  await office.documents.meshChanged()
  expect(await valueOf(office.documents, homes.semantic, 'a')).toBe('early')
})

test('a clock that was set back fails at most the write that shows it', async () => {
  let nowMs = 2_000_000_000_000
  const home = await homes.start('home', homes.mesh.home, { now: () => nowMs })
  await home.documents.write(homes.semantic, [set('a', 'in the future')])
  nowMs -= 24 * 60 * 60_000
  await home.documents.write(homes.semantic, [set('b', '1')]).catch((error: unknown) => {
    expect(error).toMatchObject({ code: 'CORE_BUSY' })
  })
  await home.documents.write(homes.semantic, [set('c', '2')])
  expect(await valueOf(home.documents, homes.semantic, 'c')).toBe('2')
})

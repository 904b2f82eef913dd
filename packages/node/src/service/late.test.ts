import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { BlockHash } from '@sealmesh/protocol/ids'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { set, sync, TestHomes } from '../documents/test-homes.ts'
import { Meta } from '../store/meta.ts'
import { lateHandlers } from './late.ts'
import { MergedLate } from './merged-late.ts'
import { agentStatus } from './status.ts'
import { nobody, serviceOf } from './test-service.ts'

const sodium = await loadSodium()

let homes: TestHomes
beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})
afterEach(() => homes.remove())

test('a merged late block is open nowhere: the merge names it, so every machine can tell', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  await home.documents.write(homes.semantic, [set('x', '1')])
  await home.documents.write(homes.session, [set('left', '"alone"'), { type: 'delete', key: 'gone' }])
  homes.mesh.assign(2, homes.mesh.office)
  for (const each of [home, office]) await each.documents.meshChanged()
  await sync(home.documents, office.documents, homes.session)

  const look = async (running: typeof home, node: typeof homes.mesh.home) => {
    // As after a restart, or on a machine where nobody merged anything: without a mark of its own.
    const mergedLate = await MergedLate.load(new Meta(running.store))
    const context = { ...serviceOf(homes, node, running), mergedLate }
    const agent = homes.mesh.mesh.agents.get(homes.mesh.agent)
    if (agent === undefined) throw new Error('the agent is there')
    const { layers } = await agentStatus(context, agent)
    const session = layers.find(({ layer }) => layer === 'session')
    const handlers = lateHandlers(context)
    return { late: session?.late, merged: session?.merged, handlers, ls: await handlers['late.ls']({}, nobody) }
  }
  const before = await look(office, homes.mesh.office)
  expect([before.late, before.merged, before.ls.aside.length]).toEqual([1, 0, 1])
  const block = before.ls.aside[0]?.block ?? ''
  const { written } = await before.handlers['late.merge']({ block }, nobody)
  expect(written).toEqual(['claude.session.gone', 'claude.session.left'])
  await sync(office.documents, home.documents, homes.session)
  await new Meta(office.store).delete('merged-late')
  for (const [running, node] of [
    [home, homes.mesh.home],
    [office, homes.mesh.office],
  ] as const) {
    const after = await look(running, node)
    expect([after.late, after.merged, after.ls.aside]).toEqual([0, 1, []])
    await expect(after.handlers['late.merge']({ block }, nobody)).rejects.toMatchObject({ code: 'BLOCK_NOT_FOUND' })
  }
})

test('what a base has left out is listed and merged like a late block, once', async () => {
  const office = await homes.start('office', homes.mesh.office)
  await office.documents.write(homes.semantic, [set('x', 'now')])
  const id = documentIdOf(homes.semantic, sodium)
  const left = { name: homes.semantic, block: 'ab'.repeat(32) as BlockHash, author: homes.mesh.home.id, wallMs: 1 }
  await office.store.commit([
    office.documents.leftOut.put(id, { ...left, write: { type: 'set', key: 'x', value: 'then' } }),
    office.documents.leftOut.put(id, { ...left, write: { type: 'delete', key: 'y' } }),
    office.documents.leftOut.put(id, { ...left, write: { type: 'text', key: 'notes', value: 'read so' } }),
  ])
  const context = {
    ...serviceOf(homes, homes.mesh.office, office),
    mergedLate: await MergedLate.load(new Meta(office.store)),
  }
  const handlers = lateHandlers(context)
  const { aside } = await handlers['late.ls']({}, nobody)
  expect(aside).toMatchObject([{ reason: 'LEFT_OUT', nodeName: 'home', layer: 'semantic' }])
  expect(aside[0]?.writes.map(({ umr, value }) => [umr, value])).toEqual([
    ['claude.semantic.notes', 'read so'],
    ['claude.semantic.x', 'then'],
    ['claude.semantic.y', null],
  ])
  const { written } = await handlers['late.merge']({ block: 'abab' }, nobody)
  expect(written.toSorted()).toEqual(['claude.semantic.notes', 'claude.semantic.x', 'claude.semantic.y'])
  const document = await office.documents.open(homes.semantic)
  expect([document.read('x')?.value, document.text('notes')]).toEqual(['then', 'read so'])
  expect((await handlers['late.ls']({}, nobody)).aside).toEqual([])
})

test('what is kept apart can be dropped, several at once, and nothing of it is written', async () => {
  const office = await homes.start('office', homes.mesh.office)
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.session, [set('left', '"alone"')])
  homes.mesh.assign(2, homes.mesh.office)
  for (const each of [home, office]) await each.documents.meshChanged()
  await sync(home.documents, office.documents, homes.session)
  const id = documentIdOf(homes.semantic, sodium)
  const left = (block: string, key: string) =>
    office.documents.leftOut.put(id, {
      name: homes.semantic,
      block: block.repeat(32) as BlockHash,
      author: homes.mesh.home.id,
      wallMs: 1,
      write: { type: 'set', key, value: 'then' },
    })
  await office.store.commit([left('ab', 'x'), left('ab', 'y'), left('ac', 'x'), left('ad', 'x')])
  const mergedLate = await MergedLate.load(new Meta(office.store))
  const handlers = lateHandlers({ ...serviceOf(homes, homes.mesh.office, office), mergedLate })
  const listed = async () => (await handlers['late.ls']({}, nobody)).aside.map(({ block }) => block)
  const late = (await listed()).find((block) => !/^a[bcd]a[bcd]/.test(block)) ?? ''
  // Nothing goes where one of them is not found.
  await expect(handlers['late.drop']({ blocks: ['acac', 'a'] }, nobody)).rejects.toMatchObject({
    code: 'BLOCK_NOT_FOUND',
  })
  expect(await listed()).toHaveLength(4)
  const { dropped } = await handlers['late.drop']({ blocks: ['abab', 'acac', late] }, nobody)
  expect(dropped.toSorted()).toEqual(['ab'.repeat(32), 'ac'.repeat(32), late].toSorted())
  expect(await listed()).toEqual(['ad'.repeat(32)])
  expect((await office.documents.open(homes.semantic)).read('x')).toBeUndefined()
})

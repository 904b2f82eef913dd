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

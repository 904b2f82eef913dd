import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { set, sync, TestHomes } from '../documents/test-homes.ts'
import { conflictHandlers } from './conflicts.ts'
import { itemHandlers } from './items.ts'
import { nobody, serviceOf } from './test-service.ts'

const sodium = await loadSodium()
const UMR = 'claude.semantic.day'

let homes: TestHomes
beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})
afterEach(() => homes.remove())

/** Two machines that wrote `values` without knowing of each other, the office last, and then met. */
async function apart(...values: readonly [string, string]) {
  const at = { ms: Date.now() }
  const home = await homes.start('home', homes.mesh.home, { now: () => at.ms })
  const office = await homes.start('office', homes.mesh.office, { now: () => at.ms })
  await home.documents.write(homes.semantic, [set('day', values[0])])
  at.ms += 1_000
  await office.documents.write(homes.semantic, [set('day', values[1])])
  const meet = async () => {
    await sync(home.documents, office.documents, homes.semantic)
    await sync(office.documents, home.documents, homes.semantic)
  }
  await meet()
  const at_ = (node: typeof homes.mesh.home, running: typeof home) => {
    const context = serviceOf(homes, node, running)
    return { ...conflictHandlers(context), ...itemHandlers(context) }
  }
  return { home, office, meet, atHome: at_(homes.mesh.home, home), atOffice: at_(homes.mesh.office, office) }
}

test('a conflict names the register, both values, writers, machines and times, here and in the listing', async () => {
  const { atHome } = await apart('"Tuesday"', '"Thursday"')
  const shown = await atHome['conflicts.show']({ umr: UMR }, nobody)
  expect(shown).toMatchObject({
    umr: UMR,
    conflict: true,
    more: 0,
    siblings: [
      { value: '"Thursday"', winner: true, also: [], origin: { nodeName: 'office', writer: 'claude' } },
      { value: '"Tuesday"', winner: false, also: [], origin: { nodeName: 'home', writer: 'claude' } },
    ],
  })
  expect(shown.siblings.map(({ origin }) => origin.write)).toEqual(shown.seen)
  expect(shown.siblings[0]?.origin.at).toMatch(/^20\d\d-/)
  const { conflicts } = await atHome['conflicts.ls']({ agent: 'claude', limit: 10 }, nobody)
  expect(conflicts).toEqual([{ umr: UMR, siblings: 2, values: shown.siblings, more: 0, seen: shown.seen }])
})

test('equal values of two machines are one value with two writers, and no conflict to choose from', async () => {
  const { atHome } = await apart('"Tuesday"', '"Tuesday"')
  const shown = await atHome['conflicts.show']({ umr: UMR }, nobody)
  expect(shown).toMatchObject({ conflict: false, siblings: [{ value: '"Tuesday"', origin: { nodeName: 'office' } }] })
  expect(shown.siblings[0]?.also.map(({ nodeName }) => nodeName)).toEqual(['home'])
  expect(await atHome['conflicts.ls']({ limit: 10 }, nobody)).toEqual({ conflicts: [], truncated: false })
  expect(await atHome.get({ umr: UMR }, nobody)).toMatchObject({ item: { conflicts: 0 } })
})

test('a merge replaces what the caller saw and leaves what arrived meanwhile as a conflict', async () => {
  const { atHome, atOffice, office, meet } = await apart('1', '2')
  const { seen } = await atHome['conflicts.show']({ umr: UMR }, nobody)
  await office.documents.write(homes.semantic, [set('day', '3')])
  await meet()
  const merged = await atHome['conflicts.merge']({ umr: UMR, value: '12', seen }, nobody)
  expect(merged).toMatchObject({ left: 1, replaced: [{ value: '1' }] })
  await meet()
  for (const at of [atHome, atOffice]) {
    const { siblings } = await at['conflicts.show']({ umr: UMR }, nobody)
    expect(new Set(siblings.map(({ value }) => value))).toEqual(new Set(['12', '3']))
  }
})

test('what this machine wrote since the caller looked is not covered in silence: it has to look again', async () => {
  const { atHome, home } = await apart('1', '2')
  const { seen } = await atHome['conflicts.show']({ umr: UMR }, nobody)
  await home.documents.write(homes.semantic, [{ type: 'set', key: 'day', value: '7', seen: [] }])
  const again = atHome['conflicts.merge']({ umr: UMR, value: '12', seen }, nobody)
  await expect(again).rejects.toMatchObject({ code: 'CONFLICT_CHANGED' })
  const { siblings } = await atHome['conflicts.show']({ umr: UMR }, nobody)
  expect(new Set(siblings.map(({ value }) => value))).toEqual(new Set(['2', '7']))
})

test('keep takes one value for all that were seen, also when that is a delete, and says what it replaced', async () => {
  const { atHome, atOffice, office, meet } = await apart('1', '2')
  await office.documents.write(homes.semantic, [{ type: 'delete', key: 'day' }])
  await meet()
  const { siblings, seen } = await atHome['conflicts.show']({ umr: UMR }, nobody)
  expect(siblings.map(({ value }) => value)).toEqual([null, '1'])
  const kept = await atHome['conflicts.keep']({ umr: UMR, write: siblings[0]?.origin.write ?? '', seen }, nobody)
  expect(kept).toMatchObject({ left: 0, replaced: [{ value: null }, { value: '1', origin: { nodeName: 'home' } }] })
  await meet()
  expect(await atOffice.get({ umr: UMR }, nobody)).toEqual({ item: null })
  const unknown = atHome['conflicts.keep']({ umr: UMR, write: 'ff' }, nobody)
  await expect(unknown).rejects.toMatchObject({ code: 'CONFLICT_NOT_FOUND' })
})

test('a set that names what its caller saw covers that and not a newer value of another machine', async () => {
  const { atHome, office, meet } = await apart('1', '1')
  const { item } = await atHome.get({ umr: UMR }, nobody)
  const seen = item?.type === 'register' ? [item.origin.write] : []
  await office.documents.write(homes.semantic, [set('day', '2')])
  await meet()
  await atHome.set({ umr: UMR, value: '3', tags: [], seen }, nobody)
  const { siblings } = await atHome['conflicts.show']({ umr: UMR }, nobody)
  expect(new Set(siblings.map(({ value }) => value))).toEqual(new Set(['2', '3']))
})

test('of more than sixteen siblings the latest sixteen are shown, and settling them brings up the rest', async () => {
  const { home, atHome } = await apart('0', '1')
  for (let run = 2; run < 20; run++) {
    // Each from an empty home, so that it has heard of nothing.
    const copy = await homes.start(`office ${run}`, homes.mesh.office)
    await copy.documents.write(homes.semantic, [set('day', String(run))])
    await sync(copy.documents, home.documents, homes.semantic)
    await homes.stop(copy)
  }
  const { siblings, more, seen } = await atHome['conflicts.show']({ umr: UMR }, nobody)
  expect([siblings.length, more, seen.length]).toEqual([16, 4, 16])
  expect(await atHome['conflicts.merge']({ umr: UMR, value: '99', seen }, nobody)).toMatchObject({ left: 4 })
})

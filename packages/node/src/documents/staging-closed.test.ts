import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { expect, test } from 'vitest'
import { BaseStore } from '../store/base-store.ts'
import { ClosedScene } from '../sync/test-closed.ts'
import { type Running, set, sync, valueOf } from './test-homes.ts'

test('a base takes the place of what is here also where blocks above it stand on a closed set', async () => {
  const scene = await ClosedScene.make()
  const { homes, sodium } = scene
  const { semantic, mesh } = homes
  const id = documentIdOf(semantic, sodium)
  const home = await scene.start('home', 4)
  let office = await scene.start('office', 4)
  const pull = async (from: Running, to: Running): Promise<void> => {
    const sets = await from.closed.of(id)
    if (sets.current !== null) await to.closed.take(id, sets.chain(sets.current)!, null)
    await sync(from.documents, to.documents, semantic, 2_000, (from === home ? mesh.home : mesh.office).id)
  }
  const meet = async (): Promise<void> => {
    await pull(home, office)
    await pull(office, home)
    for (const each of [home, office]) await each.documents.meshChanged()
    await office.documents.reached(semantic, new Map([[mesh.home.id, await home.documents.vectorOf(semantic)]]))
  }
  const restartOffice = async (): Promise<void> => {
    await homes.stop(office)
    office = await scene.start('office', 4)
  }
  await scene.fill(home, 20)
  await meet()
  expect(await scene.compact(office, 'office', home)).toBe(true)
  await meet()
  await restartOffice()
  await office.documents.write(semantic, [set('unheard', 'of')])
  expect((await scene.blockOf(office, 'unheard')).header.floor).not.toBeNull()
  for (let round = 0; round < 5; round++) await home.documents.write(semantic, [set(`k${round}`, 'of home')])

  const known = await home.documents.vectorOf(semantic)
  const own = (await office.documents.vectorOf(semantic)).map(({ incarnation }) => incarnation)
  const vector = known.filter(({ incarnation }) => own.includes(incarnation))
  mesh.append({ type: 'lapse', node: mesh.office.id, cuts: [{ document: semantic, vector }] }, mesh.home)
  await home.documents.meshChanged()
  expect(await scene.compact(home, 'home')).toBe(true)
  await restartOffice()
  await pull(home, office)
  expect((await new BaseStore(office.store).read(id))?.staged).toBeUndefined()
  expect((await new BaseStore(office.store).read(id))?.tips.length).toBeGreaterThan(20)
  await pull(office, home)
  expect(await office.documents.vectorOf(semantic)).toEqual(await home.documents.vectorOf(semantic))
  for (const each of [home, office]) {
    expect(await valueOf(each.documents, semantic, 'k0')).toBe('of home')
    const aside = (await each.documents.open(semantic)).aside()
    expect(aside.flatMap(({ block }) => block.writes)).toMatchObject([{ key: 'unheard' }])
  }
  await scene.remove()
}, 60_000)

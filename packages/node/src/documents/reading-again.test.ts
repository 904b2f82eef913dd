import { afterEach, beforeEach, expect, test } from 'vitest'
import { Compaction } from './compaction.ts'
import type { TestNode } from './fixture.ts'
import { set, sync, TestHomes } from './test-homes.ts'
import {
  begin,
  codesAt,
  compact,
  erase,
  homes,
  judge,
  listedAt,
  meet,
  type Name,
  NAMES,
  nodeOf,
  running,
  sodium,
  stateOf,
  write,
} from './test-three-readers.ts'

beforeEach(begin)
afterEach(() => homes.remove())

const grantOf = ({ id }: TestNode) =>
  homes.mesh.mesh.agents
    .get(homes.mesh.agent)
    ?.grants.find(({ to, ended }) => to.type === 'node' && to.node === id && ended === null)

/** Takes back what lets it read, with what home has of its words. */
async function end(who: Name): Promise<void> {
  const { agent } = homes.mesh
  const own = new Set((await running[who].documents.vectorOf(homes.semantic)).map(({ incarnation }) => incarnation))
  const vector = (await running.home.documents.vectorOf(homes.semantic)).filter((dot) => own.has(dot.incarnation))
  const cuts = [{ document: homes.semantic, vector }]
  homes.mesh.append({ type: 'ungrant', agent, grant: grantOf(nodeOf(who))!.record, cuts }, 'agent')
}

function grant(who: Name): void {
  const { agent } = homes.mesh
  homes.mesh.append(
    { type: 'grant', agent, layer: 'semantic', to: { type: 'node', node: nodeOf(who).id }, access: 'write' },
    'agent',
  )
}

test.each(['hears of it', 'hears of it only when it reads again'])(
  'who did not read for a while and %s takes the base of those who went on, and lists its own words that are gone',
  async (how) => {
    for (let i = 0; i < 9; i++) await write('home', `key-${i}`, '1')
    for (const key of ['mine', 'gone']) await write('laptop', key, 'of laptop')
    await meet(...NAMES)
    await end('laptop')
    if (how === 'hears of it') await judge()
    for (let i = 0; i < 9; i++) await write('home', 'since', `${i}`)
    for (const key of ['gone', 'key-3']) await erase('home', key)
    await meet('home', 'office')
    expect(await compact('home')).toBe(true)
    grant('laptop')
    await judge()
    await meet('home', 'laptop')
    expect(codesAt('laptop')).toEqual([])
    expect(await stateOf('laptop')).toEqual(await stateOf('home'))
    expect(await listedAt('laptop')).toEqual(['gone=of laptop', 'key-3=1'])
    expect(running.laptop.documents.catchUp.documents()).toEqual([])
  },
)

test('a host that wrote what it might not read takes the base of who did, as soon as it may', async () => {
  const house = await TestHomes.make(sodium)
  try {
    const { semantic, mesh } = house
    const home = await house.start('home', mesh.home)
    let office = await house.start('office', mesh.office)
    for (let i = 0; i < 9; i++) await office.documents.write(semantic, [set('mine', `${i}`)])
    await office.documents.write(semantic, [set('gone', 'of office')])
    await sync(office.documents, home.documents, semantic)
    for (let i = 0; i < 9; i++) await home.documents.write(semantic, [set('since', `${i}`)])
    await home.documents.write(semantic, [{ type: 'delete', key: 'gone' }])
    // Words that name only what it has written itself say nothing of what else there is.
    await office.documents.reached(semantic, new Map([[mesh.home.id, await office.documents.vectorOf(semantic)]]))
    expect(await office.documents.isWhole(semantic)).toBe(false)
    const base = new Compaction({
      documents: home.documents,
      node: mesh.home.id,
      mesh: () => mesh.mesh,
      receipted: async () => [],
      log: { info: () => {}, warn: () => {} },
      historyMs: -60_000,
      historyBytes: 0,
      floorBytes: 0,
    })
    expect(await base.compact(semantic)).toBe(true)
    await house.stop(office)
    office = await house.start('office', mesh.office)
    mesh.append(
      { type: 'grant', agent: mesh.agent, layer: 'semantic', to: { type: 'standby' }, access: 'write' },
      'agent',
    )
    await office.documents.meshChanged()
    await sync(home.documents, office.documents, semantic, 100_000, mesh.home.id)
    expect(office.warnings).toEqual([])
    const [ours, theirs] = await Promise.all([office, home].map(({ documents }) => documents.open(semantic)))
    expect(ours!.digest()).toEqual(theirs!.digest())
    const listed: string[] = []
    for await (const [, { write: each }] of office.documents.leftOut.all()) listed.push(each.key)
    expect(listed).toEqual(['gone'])
    await office.documents.reached(semantic, new Map([[mesh.home.id, await home.documents.vectorOf(semantic)]]))
    expect(await office.documents.isWhole(semantic)).toBe(true)
  } finally {
    await house.remove()
  }
})

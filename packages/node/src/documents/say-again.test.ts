import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { sayAgain } from './say-again.ts'
import { set, sync, TestHomes, valueOf } from './test-homes.ts'

test('what somebody else wrote beside it keeps its place; what stands alone is said again', async () => {
  const homes = await TestHomes.make(await loadSodium())
  try {
    const { agent, office: reader } = homes.mesh
    homes.mesh.append(
      { type: 'grant', agent, layer: 'semantic', to: { type: 'node', node: reader.id }, access: 'write' },
      'agent',
    )
    const home = await homes.start('home', homes.mesh.home)
    const office = await homes.start('office', homes.mesh.office)
    const name = homes.semantic
    await office.documents.write(name, [set('both', 'of office'), set('alone', 'of office')])
    await home.documents.write(name, [set('both', 'of home')])
    await sync(home.documents, office.documents, name)
    const own = (await office.documents.stored(name)).above.filter(({ header }) => header.author === reader.id)
    const before = (await office.documents.open(name)).siblings('alone').map(({ dot }) => dot.hash)
    await sayAgain(office.documents, name, own)
    const document = await office.documents.open(name)
    expect(document.siblings('both').map(({ value }) => value)).toHaveLength(2)
    expect(document.siblings('alone').map(({ dot }) => dot.hash)).not.toEqual(before)
    expect(await valueOf(office.documents, name, 'alone')).toBe('of office')
  } finally {
    await homes.remove()
  }
})

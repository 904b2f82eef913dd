import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { set, TestHomes } from '../documents/test-homes.ts'
import { lapseHandlers } from './lapse.ts'
import { nobody, serviceOf } from './test-service.ts'

test('a machine that has not all of a document says of nobody that it has lapsed', async () => {
  const homes = await TestHomes.make(await loadSodium())
  try {
    const { agent, laptop } = homes.mesh
    const to = { type: 'node', node: laptop.id } as const
    homes.mesh.append({ type: 'grant', agent, layer: 'semantic', to, access: 'read' }, 'agent')
    const home = await homes.start('home', homes.mesh.home)
    await home.documents.write(homes.semantic, [set('a', '1')])
    expect(await home.documents.isWhole(homes.semantic)).toBe(true)
    // As when its database was put back from an older copy.
    await home.documents.catchUp.wasPutBack()
    const { lapse } = lapseHandlers(serviceOf(homes, homes.mesh.home, home))
    await expect(lapse({ node: 'office' }, nobody)).rejects.toMatchObject({ code: 'CORE_BUSY' })
  } finally {
    await homes.remove()
  }
})

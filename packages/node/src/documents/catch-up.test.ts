import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { DocumentId } from '@sealmesh/protocol/ids'
import { lapsesFor } from '@sealmesh/protocol/membership/lapse'
import type { Cut } from '@sealmesh/protocol/membership/record'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DocumentIndex } from '../store/document-index.ts'
import { StandingStore } from '../store/standing-store.ts'
import { CatchUp } from './catch-up.ts'
import { TestHomes } from './test-homes.ts'

const sodium = await loadSodium()

let homes: TestHomes
beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})
afterEach(() => homes.remove())

/** Office has lapsed with so many documents, and caught up with all but `left` of them: what one look asks the index. */
async function looksAt(count: number, left: number): Promise<number> {
  const { mesh } = homes
  const { store } = await homes.start(`office-${count}-${left}`, mesh.office)
  const names = Array.from({ length: count }, (_, i): DocumentName => ({ agent: mesh.agent, layer: `${count}-${i}` }))
  const named = new Map(names.map((name) => [documentIdOf(name, sodium), { name, forked: [] }]))
  let looks = 0
  const index = {
    get: (id: DocumentId) => {
      looks += 1
      return named.get(id)
    },
    entries: () => {
      looks += named.size
      return named
    },
  } as unknown as DocumentIndex
  const standings = await StandingStore.load(store)
  const { office } = mesh
  const deps = { store, index, standings, node: office.id, mesh: () => mesh.mesh, sodium, now: Date.now }
  const catchUp = new CatchUp(deps)
  expect(catchUp.documents()).toEqual([])
  const cuts = names.map((document): Cut => ({ document, vector: [] }))
  mesh.append({ type: 'lapse', node: office.id, cuts }, mesh.home)
  expect(catchUp.documents()).toHaveLength(count)
  const overcome = { partial: false, unawaited: false, overcome: lapsesFor(mesh.mesh, office.id, names[0]!) }
  for (const [id] of [...named].slice(left)) standings.remember(id, overcome)
  const again = new CatchUp(deps)
  expect(again.documents()).toHaveLength(left)
  looks = 0
  for (let second = 0; second < 10; second++) again.documents()
  return looks
}

test('to ask which documents are behind costs as much as there are of them, not of all that are here', async () => {
  const few = await looksAt(20, 3)
  await homes.remove()
  homes = await TestHomes.make(sodium)
  expect(await looksAt(400, 3)).toBe(few)
  expect(few).toBe(30)
})

test('a lapse of many documents is not read through for each of them', () => {
  let reads = 0
  const cuts = new Proxy(
    Array.from({ length: 500 }, (_, i): Cut => ({ document: { agent: homes.mesh.agent, layer: `${i}` }, vector: [] })),
    { get: (target, key, receiver) => ((reads += 1), Reflect.get(target, key, receiver)) },
  )
  const { id } = homes.mesh.office
  const lapses = [{ record: '00'.repeat(32), cuts }]
  const mesh = { nodes: new Map([[id, { lapses }]]) } as unknown as Parameters<typeof lapsesFor>[0]
  for (let i = 0; i < 500; i++) expect(lapsesFor(mesh, id, { agent: homes.mesh.agent, layer: `${i}` })).toHaveLength(1)
  expect(lapsesFor(mesh, id, { agent: homes.mesh.agent, layer: 'other' })).toEqual([])
  expect(reads).toBeLessThan(500 * 5)
})

import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TestHomes } from '../documents/test-homes.ts'
import { Acknowledgements } from '../failover/acknowledgements.ts'
import { unleased } from '../failover/test-unleased.ts'
import { itemHandlers } from './items.ts'
import { nobody, serviceOf } from './test-service.ts'
import { textHandlers } from './texts.ts'

const sodium = await loadSodium()

let homes: TestHomes
beforeEach(async () => {
  homes = await TestHomes.make(sodium)
  const { agent, home } = homes.mesh
  homes.mesh.append({ type: 'grant', agent, layer: 'semantic', to: { type: 'standby' }, access: 'write' }, home)
})
afterEach(() => homes.remove())

/** Home, and an office that has receipted whatever it is asked about: nothing but this disk holds an answer back. */
async function world() {
  const running = await homes.start('home', homes.mesh.home)
  const all: VersionVector[] = []
  const acknowledgements = new Acknowledgements({
    node: homes.mesh.home.id,
    mesh: () => ({ ...homes.mesh.mesh, relays: [{}] }) as never,
    sync: {
      progress: () => {
        const has = all.at(-1) ?? []
        return { mine: has, receipted: has, confirmed: undefined, stored: [] }
      },
      pushAgain: () => undefined,
    },
    sets: { want: () => undefined, wants: () => false, joining: () => [] },
    lease: unleased(homes.mesh.home.id, () => homes.mesh.mesh),
    monotonicMs: () => performance.now(),
  })
  // A peer's receipt cannot come before the commit that it is of.
  running.documents.onCommit(({ document }) => all.push(document.vector))
  const context = { ...serviceOf(homes, homes.mesh.home, running), acknowledgements }
  return { running, handlers: { ...itemHandlers(context), ...textHandlers(context) } }
}

test('no level is answered before the write is on this disk', async () => {
  const { running, handlers } = await world()
  await handlers.set({ umr: 'claude.semantic.first', value: '1', tags: [] }, nobody)
  running.database.hold()
  const answered: string[] = []
  const writes = (['local', 'relayed', 'replicated'] as const).map(async (wait) => {
    const written = await handlers.set({ umr: `claude.semantic.${wait}`, value: '1', tags: [], wait }, nobody)
    answered.push(wait)
    return written.acknowledged
  })
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(answered).toEqual([])
  running.database.release()
  const levels = (await Promise.all(writes)).map((each) => [each?.done, each?.level, each?.copies])
  expect(levels).toEqual([
    [true, 'replicated', 2],
    [true, 'replicated', 2],
    [true, 'replicated', 2],
  ])
})

test('a write without a level is answered without one, and one that cannot reach its level is not made', async () => {
  const { handlers } = await world()
  const plain = await handlers.set({ umr: 'claude.semantic.plain', value: '1', tags: [] }, nobody)
  expect(plain).not.toHaveProperty('acknowledged')
  const refused = handlers.set({ umr: 'claude.episodic.x', value: '1', tags: [], wait: 'relayed' }, nobody)
  await expect(refused).rejects.toMatchObject({ code: 'LEVEL_UNREACHABLE' })
  expect((await handlers.get({ umr: 'claude.episodic.x' }, nobody)).item).toBeNull()
})

test('many writes wait for the last of them, and a text that reads so already for what is there', async () => {
  const { handlers } = await world()
  const writes = Array.from({ length: 20 }, (_, at) => ({ umr: `claude.semantic.k-${at}`, value: `${at}` }))
  const many = await handlers['set.many']({ writes, onlyChanged: false, wait: 'replicated' }, nobody)
  expect(many).toMatchObject({ written: 20, acknowledged: { level: 'replicated' } })
  const text = { umr: 'claude.semantic.notes', text: 'hello', wait: 'replicated' } as const
  for (let time = 0; time < 2; time++)
    expect((await handlers['text.put'](text, nobody)).acknowledged).toMatchObject({ done: true, level: 'replicated' })
})

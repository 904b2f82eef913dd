import { loadSodium } from '@sealmesh/sodium/load'
import { BLOCK_AHEAD_MS_MAX } from '@sealmesh/protocol/limits'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Running, set, sync, TestHomes } from '../documents/test-homes.ts'
import { Refusals } from '../events/refusals.ts'
import { notesOn } from './notes.ts'
import type { PeerSources } from './peers.ts'
import { nobody, serviceOf } from './test-service.ts'
import { whyHandlers } from './why.ts'

const sodium = await loadSodium()

let homes: TestHomes
beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})
afterEach(() => homes.remove())

/** What the office says of itself, with nobody to be heard. */
function atOffice(office: Running) {
  const alone = {
    sync: { peers: () => [], standings: () => [] },
    relays: { status: () => [] },
    lastHeard: { of: () => null },
  } as PeerSources
  const refusals = new Refusals()
  const waiting = new Set<string>()
  const compaction = { isWaiting: ({ layer }: { layer: string }) => waiting.has(layer) }
  const health = { facts: { rolledBack: null as unknown, copied: null as unknown } }
  const context = { ...serviceOf(homes, homes.mesh.office, office), ...alone, refusals, health, compaction }
  const handlers = whyHandlers({ ...context, mergedLate: { has: () => false } })
  const notes = async (target: string) =>
    (await handlers.why({ target }, nobody)).layers.flatMap((layer) => layer.notes.map(({ code }) => code))
  return { handlers, notes, refusals, health, waiting }
}

test('each thing that is the matter here has a note: conflict, late, clock, term, refused, a home that went back', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  const { notes, refusals, health, handlers } = atOffice(office)
  await office.documents.write(homes.semantic, [set('day', '1')])
  expect(await notes('claude.semantic.day')).toEqual([])

  await home.documents.write(homes.semantic, [set('day', '2')])
  await sync(home.documents, office.documents, homes.semantic)
  expect(await notes('claude.semantic.day')).toEqual(['conflict'])
  expect(await notes('claude.semantic.other')).toEqual([])

  await home.documents.write(homes.session, [set('x', '1')])
  homes.mesh.assign(2, homes.mesh.home)
  await office.documents.meshChanged()
  await sync(home.documents, office.documents, homes.session)
  expect(await notes('claude.session.x')).toEqual(['late', 'not-the-holder'])

  const ahead = await homes.start('ahead', homes.mesh.home, { now: () => Date.now() + 2 * BLOCK_AHEAD_MS_MAX })
  await ahead.documents.write(homes.episodic, [set('soon', '1')])
  await sync(ahead.documents, office.documents, homes.episodic)
  expect(await notes('claude.episodic.soon')).toEqual(['held-clock'])

  refusals.note(homes.mesh.laptop.id, [{ name: homes.episodic, refused: 2 }])
  Object.assign(health.facts, { rolledBack: {} })
  expect(await notes('claude.episodic.soon')).toEqual(['held-clock', 'refused', 'rolled-back'])
  const { layers } = await handlers.why({ target: 'claude' }, nobody)
  expect(layers.map(({ layer }) => layer)).toEqual(['episodic', 'semantic', 'session'])
  expect(layers[0]?.notes.find(({ code }) => code === 'refused')?.text).toContain('2 blocks that laptop sent')
})

test('what is neither an agent nor a UMR is said to be so', async () => {
  const { handlers } = atOffice(await homes.start('office', homes.mesh.office))
  await expect(handlers.why({ target: 'claude.semantic' }, nobody)).rejects.toMatchObject({ code: 'UMR_INVALID' })
  await expect(handlers.why({ target: 'nobody' }, nobody)).rejects.toMatchObject({ code: 'AGENT_UNKNOWN' })
})

test('what is not compacted says why: somebody lacks it, or two blocks stand in one place', async () => {
  const office = await homes.start('office', homes.mesh.office)
  await office.documents.write(homes.semantic, [set('day', '1')])
  const { notes, waiting } = atOffice(office)
  expect(await notes('claude.semantic.day')).toEqual([])
  waiting.add('semantic')
  expect(await notes('claude.semantic.day')).toEqual(['not-compacted'])

  const document = await office.documents.open(homes.semantic)
  const context = {
    ...serviceOf(homes, homes.mesh.office, office),
    mergedLate: { has: () => false },
    refusals: new Refusals(),
    compaction: { isWaiting: () => true },
    health: { facts: { rolledBack: null, copied: null } },
  }
  const textOf = (of: typeof document, lagging: string[]) => notesOn(context, of, undefined, lagging)[0]?.text
  expect(textOf(document, [])).toContain('young')
  expect(textOf(document, ['laptop', 'shed'])).toContain('until laptop, shed has all of it')
  const author = homes.mesh.home.id
  const fork = { author, incarnation: 'a'.repeat(32) as never, sequence: 1, sides: [] }
  const seen = new Proxy(document, { get: (of, what) => (what === 'forks' ? () => [fork] : bound(of, what)) })
  expect(textOf(seen, ['laptop'])).toContain('what home wrote is kept whole for ever')
})

/** Private fields are the real document's. */
function bound(of: object, what: string | symbol): unknown {
  const value: unknown = Reflect.get(of, what, of)
  return typeof value === 'function' ? (value as (...all: unknown[]) => unknown).bind(of) : value
}

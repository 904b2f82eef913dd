import { loadSodium } from '@sealmesh/sodium/load'
import type { NodeEvent } from '@sealmesh/protocol/ipc/methods'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { TestNode } from '../documents/fixture.ts'
import { type Running, set, sync, TestHomes, typeText } from '../documents/test-homes.ts'
import { EventFeed } from './feed.ts'
import { Happenings } from './happenings.ts'

const sodium = await loadSodium()

let homes: TestHomes
const open: Happenings[] = []
/** Records that the log has, and that have not been told of. */
const newest: SignedRecord[] = []
beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})
afterEach(async () => {
  for (const each of open.splice(0)) each.close()
  await homes.remove()
})

function listen(running: Running, node: TestNode) {
  const feed = new EventFeed('aa')
  const log = {
    get mesh() {
      return homes.mesh.mesh
    },
    after: () => newest.splice(0),
  }
  const happenings = new Happenings({
    feed,
    documents: running.documents,
    log,
    node: node.id,
    heard: () => [],
    now: Date.now,
  })
  open.push(happenings)
  let at = 0
  const news = (): NodeEvent[] => {
    const events: NodeEvent[] = []
    for (;;) {
      const next = feed.next(at, { types: undefined, agent: undefined, layer: undefined })
      at = next.at
      if (next.event === undefined) return events
      events.push(next.event)
    }
  }
  return { happenings, news }
}

const typesOf = (events: readonly NodeEvent[]) => events.map(({ type }) => type)

test('a conflict is told on both machines, also where the shown value stays, and so is that it is settled', async () => {
  const at = { ms: Date.now() }
  const home = await homes.start('home', homes.mesh.home, { now: () => at.ms })
  const office = await homes.start('office', homes.mesh.office, { now: () => at.ms })
  const [atHome, atOffice] = [listen(home, homes.mesh.home), listen(office, homes.mesh.office)]
  await home.documents.write(homes.semantic, [set('day', '1')])
  at.ms += 1_000
  await office.documents.write(homes.semantic, [set('day', '2')])
  expect([typesOf(atHome.news()), typesOf(atOffice.news())]).toEqual([['write'], ['write']])
  await sync(home.documents, office.documents, homes.semantic)
  expect(atOffice.news()).toMatchObject([
    { type: 'conflict', umr: 'claude.semantic.day', local: false, detail: { values: 2, settled: false } },
  ])
  await sync(office.documents, home.documents, homes.semantic)
  expect(atHome.news()).toMatchObject([
    { type: 'write', umr: 'claude.semantic.day', nodeName: 'office', local: false, detail: { value: '2' } },
    { type: 'conflict', detail: { values: 2 } },
  ])
  await home.documents.write(homes.semantic, [{ type: 'set', key: 'day', value: '3', seen: 'all' }])
  await sync(home.documents, office.documents, homes.semantic)
  for (const { news } of [atHome, atOffice])
    expect(news().at(-1)).toMatchObject({ type: 'conflict', detail: { values: 1, settled: true } })
})

test('an edit of a text is a write without its words, and of the diary no value is told', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const { news } = listen(home, homes.mesh.home)
  await home.documents.editText(homes.semantic, typeText(0, 'secret'))
  await home.documents.write({ agent: homes.mesh.agent, layer: 'diary' }, [set('entry', '{"tags":["secret"]}')])
  const events = news()
  expect(events).toMatchObject([
    { type: 'write', umr: 'claude.semantic.notes', detail: { change: 'text', value: null } },
    { type: 'write', umr: 'claude.diary.entry', detail: { change: 'set', value: null } },
  ])
  expect(JSON.stringify(events)).not.toContain('secret')
})

test('every write of a block is told by itself, with what it says', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  const [atHome, atOffice] = [listen(home, homes.mesh.home), listen(office, homes.mesh.office)]
  const writes = Array.from({ length: 50 }, (_, i) => set(`fact-${i}`, String(i)))
  await home.documents.write(homes.semantic, writes)
  await home.documents.write(homes.semantic, [{ type: 'delete', key: 'fact-7' }, set('fact-8', '"new"')])
  await sync(home.documents, office.documents, homes.semantic)
  for (const [news, local] of [
    [atHome.news(), true],
    [atOffice.news(), false],
  ] as const) {
    const said = news.map(({ umr, nodeName, local, detail }) => [
      umr,
      nodeName,
      local,
      detail['change'],
      detail['value'],
    ])
    const told = (key: string, change: string, value: string | null) => [
      `claude.semantic.${key}`,
      'home',
      local,
      change,
      value,
    ]
    expect(new Set(said.slice(0, 50))).toEqual(new Set(writes.map(({ key, value }) => told(key, 'set', value))))
    expect(said.slice(50)).toEqual([told('fact-7', 'delete', null), told('fact-8', 'set', '"new"')])
  }
})

test('of a block of which only some is shown only that is told', async () => {
  const at = { ms: Date.now() }
  const home = await homes.start('home', homes.mesh.home, { now: () => at.ms })
  const office = await homes.start('office', homes.mesh.office, { now: () => at.ms })
  await home.documents.write(homes.semantic, [set('a', '1'), set('b', '1')])
  at.ms += 1_000
  await office.documents.write(homes.semantic, [set('a', '2')])
  const { news } = listen(office, homes.mesh.office)
  await sync(home.documents, office.documents, homes.semantic)
  const writes = news().filter(({ type }) => type === 'write')
  expect(writes.map(({ umr, detail }) => [umr, detail['value']])).toEqual([['claude.semantic.b', '1']])
})

test('a value too large for an event is left out and said to be', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const { news } = listen(home, homes.mesh.home)
  await home.documents.write(homes.semantic, [set('large', JSON.stringify('x'.repeat(5_000)))])
  expect(news()).toMatchObject([{ detail: { value: null, cut: true } }])
})

test('a late block is told once, when it comes', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const office = await homes.start('office', homes.mesh.office)
  await home.documents.write(homes.session, [set('x', '1')])
  homes.mesh.assign(2, homes.mesh.office)
  const { news } = listen(office, homes.mesh.office)
  await sync(home.documents, office.documents, homes.session)
  await sync(home.documents, office.documents, homes.session)
  expect(news()).toMatchObject([{ type: 'late', agent: 'claude', layer: 'session', nodeName: 'home', local: false }])
})

test('the link is told when it changes, not at every attempt to dial', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const { happenings, news } = listen(home, homes.mesh.home)
  for (let i = 0; i < 3; i++) happenings.onLink({ type: 'down', reason: 'RELAY_UNREACHABLE' })
  happenings.onLink({ type: 'live', newGeneration: false })
  expect(news().map(({ detail }) => detail['state'])).toEqual(['down', 'live'])
})

test('grants and takeovers are told with who did it', async () => {
  const home = await homes.start('home', homes.mesh.home)
  const { happenings, news } = listen(home, homes.mesh.home)
  const { agent } = homes.mesh
  const grant = homes.mesh.append(
    { type: 'grant', agent, layer: 'semantic', to: { type: 'standby' }, access: 'write' },
    homes.mesh.home,
  )
  newest.push(grant, homes.mesh.assign(2, homes.mesh.office))
  happenings.meshChanged(homes.mesh.mesh)
  expect(news()).toMatchObject([
    { type: 'grant', agent: 'claude', layer: 'semantic', nodeName: 'home', detail: { to: 'standby', access: 'write' } },
    { type: 'takeover', agent: 'claude', nodeName: 'office', detail: { term: 2, holder: 'office' } },
  ])
})

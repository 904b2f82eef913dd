import { loadSodium } from '@sealmesh/sodium/load'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { set, TestHomes } from '../documents/test-homes.ts'
import { Acknowledgements } from '../failover/acknowledgements.ts'
import { unleased } from '../failover/test-unleased.ts'
import { REACHABLE_MS } from '../status/standing.ts'
import { nobody, serviceOf } from './test-service.ts'
import { type WaitContext, waitHandlers } from './wait.ts'

const sodium = await loadSodium()

let homes: TestHomes
beforeEach(async () => {
  homes = await TestHomes.make(sodium)
})
afterEach(() => homes.remove())

/** Home with one register, and an office of which a test says what it has receipted and named, and when it was heard. */
async function world() {
  const home = await homes.start('home', homes.mesh.home)
  await home.documents.write(homes.semantic, [set('x', '1')])
  const mine = await home.documents.vectorOf(homes.semantic)
  const office = {
    receipted: [] as VersionVector,
    stored: [] as VersionVector,
    named: undefined as VersionVector | undefined,
    toReceive: 0,
    heardAtMs: Date.now(),
    live: true,
  }
  const part = {
    sync: {
      peers: () => [
        {
          node: homes.mesh.office.id,
          view: { toSend: 0, toReceive: null, lastHeardAtMs: office.heardAtMs },
          words: [],
          refused: null,
          inFlight: 0,
        },
      ],
      progress: () => ({ mine, receipted: office.receipted, confirmed: undefined, stored: office.stored }),
      pushAgain: () => undefined,
      standings: () => [
        {
          name: homes.semantic,
          peerReads: true,
          bothRead: true,
          mine,
          receipted: office.receipted,
          named: office.named,
          toSend: office.receipted === mine ? 0 : 1,
          toReceive: office.toReceive,
        },
      ],
    },
    relays: { status: () => [{ state: office.live ? 'live' : 'waiting', reason: null }] },
    lastHeard: { of: () => null },
  }
  const acknowledgements = new Acknowledgements({
    node: homes.mesh.home.id,
    mesh: () => homes.mesh.mesh,
    sync: part.sync,
    sets: { want: () => undefined, wants: () => false, joining: () => [] },
    lease: unleased(homes.mesh.home.id, () => homes.mesh.mesh),
    monotonicMs: () => performance.now(),
  })
  const service = serviceOf(homes, homes.mesh.home, home)
  const context = { ...service, ...(part as unknown as Pick<WaitContext, keyof typeof part>), acknowledgements }
  const wait = (until: 'synced' | 'relayed' | 'replicated', timeoutMs = 0) =>
    waitHandlers(context).wait({ until, target: 'claude', timeoutMs }, nobody)
  return { home, mine, office, wait }
}

const share = () =>
  homes.mesh.append(
    { type: 'grant', agent: homes.mesh.agent, layer: 'semantic', to: { type: 'standby' }, access: 'write' },
    homes.mesh.home,
  )

test('what nobody else may read is never replicated: it says so instead of returning at once', async () => {
  const { wait } = await world()
  await expect(wait('replicated')).rejects.toMatchObject({ code: 'NOT_SHARED' })
})

test('replicated is the word of the receipt alone, also of a machine that has gone since', async () => {
  const { mine, office, wait } = await world()
  share()
  expect(await wait('replicated')).toMatchObject({ done: false, behind: [{ machine: 'office', lacks: 1 }] })
  Object.assign(office, { receipted: mine, heardAtMs: Date.now() - REACHABLE_MS - 1_000, live: false })
  expect(await wait('replicated')).toMatchObject({ done: true, readers: ['office'], behind: [] })
})

test('relayed is the word of the relay that it stored it, or of the machine itself', async () => {
  const { mine, office, wait } = await world()
  share()
  expect(await wait('relayed')).toMatchObject({ done: false, behind: [{ machine: 'office' }] })
  office.stored = mine
  expect(await wait('relayed')).toMatchObject({ done: true, readers: ['office'], alone: [] })
  expect(await wait('replicated')).toMatchObject({ done: false })
  Object.assign(office, { stored: [], receipted: mine })
  expect(await wait('relayed')).toMatchObject({ done: true })
})

test('synced wants the other machine there, its word in this run, and nothing missing here', async () => {
  const { mine, office, wait } = await world()
  share()
  office.receipted = mine
  expect(await wait('synced')).toMatchObject({ done: false })
  office.named = mine
  expect(await wait('synced')).toMatchObject({ done: true })
  office.toReceive = 2
  expect(await wait('synced')).toMatchObject({ done: false, behind: [{ lacks: 0, more: 2 }] })
  Object.assign(office, { toReceive: 0, live: false })
  expect(await wait('synced')).toMatchObject({ done: false })
})

test('the goal is what was here when it began: later writes move it no further', async () => {
  const { home, mine, office, wait } = await world()
  share()
  const waiting = wait('replicated', 20_000)
  // The goal is fixed in the first turns; a write takes an fsync.
  await home.documents.write(homes.semantic, [set('x', '2')])
  office.receipted = mine
  expect(await waiting).toMatchObject({ done: true })
})

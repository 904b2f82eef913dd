import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { TestLeases } from './test-leases.ts'

const sodium = await loadSodium()

beforeEach(() => vi.useFakeTimers({ now: 1_700_000_200_000 }))
afterEach(() => vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

async function both() {
  const leases = new TestLeases(sodium)
  const home = await leases.start(leases.mesh.home)
  await pass(1_000)
  const office = await leases.start(leases.mesh.office)
  await pass(1_000)
  return { home, office, agent: leases.agent }
}

test('a word that a leased agent is handed over moves no term where the register cannot be asked', async () => {
  const { home, office, agent } = await both()
  office.isElsewhere = true
  office.failover.onItem(home.node.id, { type: 'failover', word: 'take', agent, nonce: new Uint8Array(16) }, false)
  await pass(2_000)
  expect(office.log.mesh.agents.get(agent)?.term).toMatchObject({ number: 1, holder: home.node.id })
})

test('nothing is handed over to a machine that has not said what it has', async () => {
  const { home, office, agent } = await both()
  home.documents = [{ agent, layer: 'session' }]
  const refused = home.failover.handover.run(agent, office.node.id).catch((error: unknown) => error)
  await pass(8_000)
  expect(await refused).toMatchObject({ code: 'HANDOVER_FAILED' })
  expect(home.failover.mustHold(agent)).toMatchObject({ ok: true, value: { term: { number: 1 } } })
  home.documents = []
  const term = home.failover.handover.run(agent, office.node.id)
  await pass(2_000)
  expect(await term).toMatchObject({ number: 2, holder: office.node.id })
})

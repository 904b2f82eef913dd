import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { takeByPerson } from './by-person.ts'
import { TestLeases } from './test-leases.ts'

const sodium = await loadSodium()

beforeEach(() => vi.useFakeTimers({ now: 1_700_000_200_000 }))
afterEach(() => vi.useRealTimers())

test('what the register of a holder that is gone does not list is proposed after a lease, and a person takes it', async () => {
  const leases = new TestLeases(sodium)
  const { agent, mesh } = leases
  const home = await leases.start(mesh.home)
  await vi.advanceTimersByTimeAsync(1_000)
  const office = await leases.start(mesh.office)
  leases.crash(home)
  leases.put(mesh.home, { held: [] })
  const taking = () => takeByPerson(office.failover, office.log, agent, { reason: 'test', force: false })
  await vi.advanceTimersByTimeAsync(2_000)
  await expect(taking()).rejects.toMatchObject({ code: 'LEASE_RUNS' })
  await vi.advanceTimersByTimeAsync(60_000)
  expect(office.failover.standby.outlookOf(agent)).toEqual({ type: 'proposed' })
  expect(office.log.mesh.agents.get(agent)?.term).toMatchObject({ number: 1 })
  await taking()
  expect(leases.register(mesh.home)).toMatchObject({ state: { type: 'broken' }, taken: [{ term: 2 }] })
  await vi.advanceTimersByTimeAsync(1_000)
  expect(office.failover.mustHold(agent)).toMatchObject({ ok: true, value: { term: { number: 2 } } })
  // Home comes back, and learns it from its register before it claims anything.
  const back = await leases.start(mesh.home)
  back.isDeaf = true
  await vi.advanceTimersByTimeAsync(20_000)
  expect(back.failover.mustHold(agent).ok).toBe(false)
})

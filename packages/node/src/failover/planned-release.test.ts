import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { takeByPerson } from './by-person.ts'
import { TestLeases } from './test-leases.ts'

const sodium = await loadSodium()

beforeEach(() => vi.useFakeTimers({ now: 1_700_000_200_000 }))
afterEach(() => vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

test('a lease that was released and then broken is no failure; one that was lost is', async () => {
  const leases = new TestLeases(sodium)
  const { agent, mesh } = leases
  const home = await leases.start(mesh.home)
  await pass(1_000)
  const office = await leases.start(mesh.office)
  await pass(1_000)
  await home.failover.release()
  await pass(3_000)
  expect(office.failover.mustHold(agent).ok).toBe(true)
  expect(leases.register(mesh.home)).toMatchObject({ state: { type: 'broken' } })
  home.failover.own.resume()
  await pass(3_000)
  expect(home.store.failuresAtMs).toEqual([])
  office.isCut = true
  await pass(12_000)
  await takeByPerson(home.failover, home.log, agent, { reason: 'test', force: false, acceptDataLoss: 'a test' })
  office.isCut = false
  await pass(3_000)
  expect(office.store.failuresAtMs).toHaveLength(1)
})

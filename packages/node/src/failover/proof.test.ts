import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { takeByPerson } from './by-person.ts'
import { TestLeases } from './test-leases.ts'

const sodium = await loadSodium()

beforeEach(() => vi.useFakeTimers({ now: 1_700_000_200_000 }))
afterEach(() => vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

test('a term that came by the log is called witnessed once every other host knows of it, and of the leases', async () => {
  const leases = new TestLeases(sodium, 'manual')
  const { agent, mesh } = leases
  const home = await leases.start(mesh.home)
  const office = await leases.start(mesh.office)
  home.isCut = true
  await takeByPerson(office.failover, office.log, agent, { reason: 'test', force: false })
  const auto = { type: 'failover', agent, mode: 'auto', durability: 'available' } as const
  await office.log.append(auto, { type: 'node', node: office.node.id }, office.node.keys.secretKey)
  await pass(10_000)
  // Home acts by its log, and nothing can stop it.
  expect(home.failover.mustHold(agent)).toMatchObject({ ok: true, value: { witnessed: false } })
  expect(office.failover.mustHold(agent)).toMatchObject({ ok: true, value: { witnessed: false, term: { number: 2 } } })
  home.isCut = false
  await pass(20_000)
  expect(office.failover.mustHold(agent)).toMatchObject({ ok: true, value: { witnessed: false } })
  await leases.meet(home, office)
  await pass(20_000)
  expect(office.failover.mustHold(agent)).toMatchObject({ ok: true, value: { witnessed: true } })
  // And after a restart without anybody to ask.
  leases.crash(office)
  leases.crash(home)
  const again = await leases.start(mesh.office)
  await pass(1_000)
  expect(again.failover.mustHold(agent)).toMatchObject({ ok: true, value: { witnessed: true } })
})

test('what a register gave is witnessed at once, although nobody answers', async () => {
  const leases = new TestLeases(sodium)
  const { agent, mesh } = leases
  const home = await leases.start(mesh.home)
  await pass(1_000)
  expect(home.failover.mustHold(agent)).toMatchObject({ ok: true, value: { witnessed: false } })
  const office = await leases.start(mesh.office)
  leases.crash(home)
  await pass(12_000)
  expect(office.failover.mustHold(agent)).toMatchObject({ ok: true, value: { witnessed: true, term: { number: 2 } } })
})

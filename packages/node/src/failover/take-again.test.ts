import { NO_PREFIX } from '@sealmesh/protocol/failover/lease-blob'
import { prefixOf } from '@sealmesh/protocol/failover/prefix'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { takeByPerson } from './by-person.ts'
import { TestLeases } from './test-leases.ts'

const sodium = await loadSodium()

beforeEach(() => vi.useFakeTimers({ now: 1_700_000_200_000 }))
afterEach(() => vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const says = { reason: 'test', force: false }

/** Home was silent, and the office has taken the agent from it and has told nobody. */
async function officeTook(keepsRegister: boolean) {
  const leases = new TestLeases(sodium, 'auto', ({ home, office, laptop }) => [home, office, laptop])
  const { mesh, agent } = leases
  const home = await leases.start(mesh.home)
  await pass(1_000)
  const office = await leases.start(mesh.office)
  await pass(1_000)
  if (keepsRegister) {
    // It has had a lease of something else.
    const other = 'ee'.repeat(32)
    leases.put(office.node, { held: [{ agent: prefixOf(other), term: 1, record: prefixOf(other), sync: null }] })
  }
  home.isCut = true
  office.failover.own.close()
  office.isMute = true
  await pass(10_000)
  expect(leases.register(mesh.home)).toMatchObject({ held: [], taken: [{ agent: prefixOf(agent), term: 2 }] })
  expect(office.log.mesh.agents.get(agent)?.term).toMatchObject({ number: 2 })
  return { leases, home, office, agent }
}

test.each([false, true])(
  'what was taken by somebody who is lost with it is taken again by another standby',
  async (has) => {
    const { leases, home, office, agent } = await officeTook(has)
    leases.lose(office)
    const laptop = await leases.start(leases.mesh.laptop)
    home.isCut = false
    home.isDeaf = true
    await pass(4_000)

    expect(laptop.log.mesh.agents.get(agent)?.term).toMatchObject({ number: 1 })
    await pass(30_000)
    expect(laptop.log.mesh.agents.get(agent)?.term).toMatchObject({ number: 2, holder: laptop.node.id })
    expect(laptop.failover.mustHold(agent).ok).toBe(true)
    // Home, which goes on writing there, has learnt whose it is now.
    const { record } = laptop.log.mesh.agents.get(agent)!.term!
    expect(leases.register(leases.mesh.home)?.taken).toMatchObject([{ record: prefixOf(record) }])
    await leases.meet(home, laptop)
    await pass(1_000)
    expect(home.failover.mustHold(agent)).toEqual({ ok: false, error: 'NOT_THE_HOLDER' })
  },
)

test.each([0, 1, 2, 3])('and he who comes back with his record does not act under it', async (at) => {
  vi.setSystemTime(Date.now() + at)
  const { leases, office, agent } = await officeTook(false)
  leases.crash(office)
  const laptop = await leases.start(leases.mesh.laptop)
  await pass(30_000)
  laptop.isDeaf = true
  const back = await leases.start(leases.mesh.office)
  expect(back.log.mesh.agents.get(agent)?.term).toMatchObject({ number: 2, holder: back.node.id })

  const notUnderIt = async () => {
    for (let at = 0; at < 200; at++) {
      await pass(100)
      const judged = back.failover.mustHold(agent)
      expect(judged.ok && judged.value.term.number).not.toBe(2)
    }
  }
  await notUnderIt()
  // Both records of one number are known to all: whichever counts, one of them goes on, under that or the next.
  laptop.isDeaf = false
  await leases.meet(back, laptop)
  await notUnderIt()

  await leases.meet(back, laptop)
  await pass(1_000)
  const [may, other] = [back, laptop].map(({ failover }) => failover.mustHold(agent).ok)
  expect(may).not.toBe(other)
})

test.each([false, true])('who was fenced for nothing lists it again, unless somebody came after all', async (came) => {
  const { leases, home, office, agent } = await officeTook(false)
  const laptop = await leases.start(leases.mesh.laptop)
  // The laptop has fenced the office, and has then heard of its record.
  const number = { agent: prefixOf(agent), term: 2, holder: prefixOf(laptop.node.id), sync: null }
  leases.put(office.node, { taken: [{ ...number, record: NO_PREFIX }] })
  if (came) leases.put(leases.mesh.home, { taken: [{ ...number, record: prefixOf('77'.repeat(32)) }] })
  const before = leases.witness.slots.get(leases.slotOf(leases.mesh.home))
  await leases.meet(office, laptop)
  laptop.isCut = true
  home.isCut = true
  leases.crash(office)
  const back = await leases.start(leases.mesh.office)
  await pass(10_000)
  expect(back.failover.mustHold(agent).ok).toBe(!came)
  // Whoever had read it before he lifted the fence sets nothing over it.
  if (!came) expect(leases.witness.slots.get(leases.slotOf(leases.mesh.home))?.counter).toBe(before!.counter + 1)
})

test('a person may have it taken again at once; nobody takes it from him who lists it', async () => {
  const { leases, office, agent } = await officeTook(true)
  const laptop = await leases.start(leases.mesh.laptop)
  await pass(100)
  const term = office.log.mesh.agents.get(agent)!.term!
  const held = { agent: prefixOf(agent), term: 2, record: prefixOf(term.record), sync: null }
  leases.put(office.node, { held: [held] })
  await expect(takeByPerson(laptop.failover, laptop.log, agent, says)).rejects.toMatchObject({ code: 'LEASE_RUNS' })
  leases.put(office.node, { held: [] })
  await takeByPerson(laptop.failover, laptop.log, agent, says)
  expect(leases.register(office.node)).toMatchObject({ state: { type: 'renewed' }, taken: [{ term: 2 }] })
  await pass(1_000)
  expect(laptop.failover.mustHold(agent)).toMatchObject({ ok: true, value: { term: { number: 2 } } })
})

test('the holder itself has it again by force, and force that changes nothing says so', async () => {
  const { leases, home, office, agent } = await officeTook(false)
  leases.lose(office)
  home.isCut = false
  await pass(20_000)
  expect(home.failover.mustHold(agent)).toEqual({ ok: false, error: 'LEASE_OVER' })
  await takeByPerson(home.failover, home.log, agent, { ...says, force: true })
  await pass(1_000)
  expect(home.failover.mustHold(agent)).toMatchObject({ ok: true, value: { term: { number: 2 } } })
  home.isCut = true
  await pass(10_000)
  const again = takeByPerson(home.failover, home.log, agent, { ...says, force: true })
  await expect(again).rejects.toMatchObject({ code: 'FENCED' })
})

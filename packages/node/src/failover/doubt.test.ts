import { NO_MEMORY, NodeLease } from '@sealmesh/protocol/failover/node-lease'
import type { IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { takeByPerson } from './by-person.ts'
import { TestLeases, type TestMachine } from './test-leases.ts'

const sodium = await loadSodium()

beforeEach(() => vi.useFakeTimers({ now: 1_700_000_200_000 }))
afterEach(() => vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

/** Nobody acts under the first term while the office acts under the second. */
async function officeAlone(home: TestMachine, office: TestMachine, agent: TestLeases['agent'], ms: number) {
  for (let at = 0; at < ms / 100; at++) {
    await pass(100)
    expect([home, office].map(({ failover }) => failover.mustHold(agent).ok)).toEqual([false, true])
  }
}

test('what a person said of one doubt does not settle the next', async () => {
  const leases = new TestLeases(sodium)
  const { agent, mesh, witness } = leases
  const home = await leases.start(mesh.home)
  await pass(1_000)
  const office = await leases.start(mesh.office)
  const morning = new Map(witness.slots)
  await pass(20_000)
  await takeByPerson(home.failover, home.log, agent, { reason: 'test', force: true })
  await pass(1_000)
  home.isCut = true
  home.isDeaf = true
  await pass(12_000)
  expect(office.failover.mustHold(agent).ok).toBe(true)
  // The disk of the relay is put back; home is the first that comes.
  witness.slots = morning
  home.isCut = false
  await officeAlone(home, office, agent, 5_000)
})

test('each time that the witness forgets is another doubt, also where nothing was written in between', () => {
  const lease = new NodeLease('0d'.repeat(32) as NodeId, '1c'.repeat(16) as IncarnationId, NO_MEMORY)
  const [first, second, third] = ['first', 'second', 'third'].map((generation) => ({ relays: 'relay', generation }))
  lease.heardFrom(first!)
  expect(lease.doubt).toBe(null)
  lease.heardFrom(second!)
  const before = lease.doubt
  lease.heardFrom(third!)
  expect(lease.doubt).not.toBe(before)
  lease.endDoubt(before)
  expect(lease.isInDoubt).toBe(true)
  lease.endDoubt(lease.doubt)
  expect(lease.isInDoubt).toBe(false)
})

test.each(['slots', 'sessions'])(
  'a witness that was put back and keeps its generation is found out by its %s',
  async (by) => {
    const leases = new TestLeases(sodium, 'auto', ({ home, office, laptop }) => [home, office, laptop])
    const { mesh, witness } = leases
    await leases.start(mesh.home)
    await pass(1_000)
    const laptop = await leases.start(mesh.laptop)
    await pass(500)
    const backup = new Map(witness.slots)
    await pass(5_000)
    expect(laptop.failover.lease.isInDoubt).toBe(false)
    if (by === 'slots') witness.slots = backup
    else laptop.failover.onRelay(mesh.mesh.witness!.relays[0]!, { type: 'live', newGeneration: true })
    await pass(900)
    expect(laptop.failover.lease.isInDoubt).toBe(true)
    leases.crash(laptop)
    const again = await leases.start(mesh.laptop)
    await pass(900)
    expect(again.failover.lease.isInDoubt).toBe(true)
    expect(again.failover.lease.memory.witness).toEqual(laptop.failover.lease.memory.witness)
  },
)

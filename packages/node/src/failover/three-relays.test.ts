import { leaseKeyOf } from '@sealmesh/protocol/failover/lease-blob'
import type { NodeId } from '@sealmesh/protocol/ids'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { MajorityWitness } from './majority-witness.ts'
import { TestLeases, TestWitness } from './test-leases.ts'

const sodium = await loadSodium()
const RELAYS = ['a', 'b', 'c'] as const

beforeEach(() => vi.useFakeTimers({ now: 1_700_000_200_000 }))
afterEach(() => vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

/** Leases that three relays keep, each of which may be down. */
async function threeRelays() {
  const leases = new TestLeases(sodium)
  const parts = RELAYS.map(() => new TestWitness(sodium))
  const isDown = [false, false, false]
  /** Of whose network not all of them can be reached: those that can. */
  const reach = new Map<NodeId, readonly number[]>()
  const [found] = leases.mesh.mesh.records.keys()
  const key = leaseKeyOf(leases.mesh.id, found!, sodium)
  const witnesses = new Map<NodeId, MajorityWitness>()
  let drawn = 0
  const random = (bytes: number) => sodium.hash([Uint8Array.of(drawn >> 8, drawn++ & 255)], 32).subarray(0, bytes)
  leases.witness = Object.assign(new TestWitness(sodium), {
    of: (node: NodeId, isCut: () => boolean) => {
      const [a, b, c] = parts.map((part, at) =>
        part.of(node, () => isCut() || isDown[at] === true || reach.get(node)?.includes(at) === false),
      )
      const made =
        witnesses.get(node) ??
        new MajorityWitness({
          parts: [a!, b!, c!],
          relays: RELAYS,
          key,
          sodium,
          random,
          dice: () => 0,
          before: null,
        })
      witnesses.set(node, made)
      return made
    },
  })
  const home = await leases.start(leases.mesh.home)
  await pass(1_000)
  const office = await leases.start(leases.mesh.office)
  await pass(1_000)
  return { leases, home, office, isDown, reach }
}

test('a holder goes on with two of three relays, stops with one, and goes on when a second one is back', async () => {
  const { leases, home, isDown } = await threeRelays()
  const { agent } = leases
  const mayAct = () => home.failover.mustHold(agent)
  expect(mayAct()).toMatchObject({ ok: true, value: { witnessed: true } })
  isDown[1] = true
  await pass(30_000)
  expect(mayAct()).toMatchObject({ ok: true, value: { witnessed: true } })
  isDown[0] = true
  await pass(8_000)
  expect(mayAct()).toEqual({ ok: false, error: 'LEASE_OVER' })
  isDown[1] = false
  await pass(8_000)
  expect(home.log.mesh.agents.get(agent)?.term).toMatchObject({ number: 1 })
  expect(mayAct().ok).toBe(true)
})

test('a standby takes over with two of three relays, and the holder that comes back does not act', async () => {
  const { leases, home, office, isDown } = await threeRelays()
  const { agent } = leases
  isDown[2] = true
  home.isCut = true
  await pass(12_000)
  expect(home.failover.mustHold(agent)).toEqual({ ok: false, error: 'LEASE_OVER' })
  expect(office.log.mesh.agents.get(agent)?.term).toMatchObject({ number: 2, holder: office.node.id })
  expect(office.failover.mustHold(agent)).toMatchObject({ ok: true, value: { witnessed: true } })
  // It sees the one relay that has not heard of it yet, and one that has.
  Object.assign(isDown, [true, false, false])
  home.isCut = false
  home.isDeaf = true
  await pass(20_000)
  expect(home.failover.mustHold(agent).ok).toBe(false)
  expect(office.failover.mustHold(agent).ok).toBe(true)
})

test('a holder that reaches one relay alone stops, and keeps nobody from taking over', async () => {
  const { leases, home, office, reach } = await threeRelays()
  const { agent } = leases
  reach.set(home.node.id, [0])
  await pass(12_000)
  expect(home.failover.mustHold(agent).ok).toBe(false)
  expect(office.failover.mustHold(agent)).toMatchObject({ ok: true, value: { witnessed: true } })
})

import { redialMsMax } from '@sealmesh/protocol/failover/redial'
import { LEASE_TIMINGS, quietMs } from '@sealmesh/protocol/failover/timing'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { TestMesh } from '../documents/fixture.ts'

const sodium = await loadSodium()

test('hosts of a leased agent are back at a relay that returns long before a register is old enough to be taken', () => {
  const mesh = new TestMesh(sodium)
  const of = (who: 'home' | 'office' | 'laptop') => redialMsMax(mesh.mesh, mesh[who].id)
  mesh.append({ type: 'failover', agent: mesh.agent, mode: 'auto', durability: 'available' }, 'agent')
  expect(of('home')).toBeUndefined()
  for (const profile of ['default', 'fast', 'calm'] as const) {
    mesh.append({ type: 'witness', relays: ['aa'.repeat(32) as never], profile }, 'root')
    expect(of('home')).toBe(LEASE_TIMINGS[profile].retryMs)
    expect(of('office')).toBe(of('home'))
    expect(of('home')).toBeLessThan(quietMs(LEASE_TIMINGS[profile].leaseMs) / 3)
  }
  expect(of('laptop')).toBeUndefined()
  mesh.append({ type: 'failover', agent: mesh.agent, mode: 'manual', durability: 'available' }, 'agent')
  expect(of('home')).toBeUndefined()
})

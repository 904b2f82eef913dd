import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'
import { AGENT, restart, rowOf, untilMay, untilReady } from '../failover/trial-mesh.ts'
import { ask, liveRelays, valueAt } from './ask.ts'

/** Three relays keep leases, each a process of its own; one of them dies for good. */

let household: Household
let others: RelayProcess[]

beforeAll(async () => {
  household = await startHousehold('three')
  const { home, office, directory } = household
  others = []
  for (const name of ['second', 'third']) {
    const relay = await RelayProcess.start({ data: path.join(directory, name) })
    others.push(relay)
    await ask(home, 'relay.add', { address: relay.address, claim: relay.claim ?? '' })
  }
  for (const node of [home, office]) await until('all are live', async () => (await liveRelays(node)) === 3)
  await ask(home, 'agents.add', { name: AGENT, standby: ['office'] })
  const changes = ['session', 'semantic'].map((layer) => ({ layer, to: 'standby' }))
  await ask(home, 'share.set', { agent: AGENT, changes })
}, 90_000)

afterAll(async () => {
  for (const relay of others) await relay.stop()
  await endHousehold(household)
})

test('with one of three relays dead an agent goes on, and is taken over when its holder dies too', async () => {
  const { home, office } = household
  const { relays } = await ask(home, 'relay.ls', {})
  const ids = relays.map(({ relay }) => relay)
  await expect(ask(home, 'witness.set', { relays: ids.slice(0, 2) })).rejects.toMatchObject({ code: 'USAGE' })
  await ask(home, 'witness.set', { profile: 'fast', relays: ids })
  await ask(home, 'failover.set', { agent: AGENT, mode: 'auto' })
  const door = await home.door()
  await untilMay(door)
  await door.call('set', { umr: `${AGENT}.session.first`, value: '1' })
  const standby = await office.door()
  await untilReady(standby)
  expect((await ask(home, 'relay.ls', {})).relays.every(({ keepsLeases }) => keepsLeases)).toBe(true)
  await expect(ask(home, 'relay.rm', { relay: ids[2]! })).rejects.toMatchObject({ code: 'WITNESS_NEEDED' })

  // The first: the one that everything went through.
  await household.relay.kill()
  await until('the holder has renewed since', async () => {
    const granted = await door.call('must-hold', { agent: AGENT })
    return granted.witnessed && (await liveRelays(home)) === 2
  })
  await door.call('set', { umr: `${AGENT}.session.second`, value: '2' })
  await until('the standby has it', async () => (await valueAt(office, `${AGENT}.session.second`)) === 2)
  const killedAtMs = performance.now()
  await home.kill()
  await untilMay(standby, 40_000)
  expect(performance.now() - killedAtMs).toBeLessThan(40_000)
  const granted = await standby.call('must-hold', { agent: AGENT })
  expect(granted).toMatchObject({ term: 2, witnessed: true })

  household = { ...household, home: await restart(home) }
  const back = await household.home.door()
  await until('the old holder knows, and does not act', async () => {
    const { term, may } = await rowOf(back)
    return term === 2 && !may
  })
}, 120_000)

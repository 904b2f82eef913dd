import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { AGENT, restart, rowOf, untilMay, untilReady } from '../failover/trial-mesh.ts'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes } from '../processes/pair.ts'
import { until } from '../processes/wait.ts'
import { ClusterRelays } from './cluster-relays.ts'
import { CutWire } from './cut-wire.ts'
import { NatsServers } from './nats-servers.ts'

/** The lease of an agent lies in a cluster: whichever relay is home of the mesh keeps its slot. */
const directory = mkdtempSync(join(tmpdir(), 'sealmesh-takeover-'))
const ends: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const end of ends.toReversed()) await end()
  rmSync(directory, { recursive: true, force: true })
})

test('an agent’s machine and the home of its mesh are killed at once: its standby takes over, once, and has all', async () => {
  const servers = await NatsServers.start(directory, 1)
  ends.push(() => servers.stop())
  const relays = await ClusterRelays.start(directory, [servers.addresses, servers.addresses])
  ends.push(() => relays.stop())
  const balancer = await CutWire.to(...relays.all.map(({ port }) => port))
  ends.push(() => balancer.close())
  const relay = relays.at(0).addressAt(balancer.port)
  const home = await NodeProcess.start({
    ...{ home: join(directory, 'home'), name: 'home', relay },
    claim: await relays.claim(),
  })
  ends.push(() => home.stop())
  const office = await pairNodes(home, { home: join(directory, 'office'), name: 'office' })
  ends.push(() => office.stop())
  const door = await home.door()
  await door.call('agents.add', { name: AGENT, standby: ['office'] })
  await door.call('share.set', { agent: AGENT, changes: [{ layer: 'session', to: 'standby' }] })
  await door.call('witness.set', { profile: 'fast' })
  await door.call('failover.set', { agent: AGENT, mode: 'auto' })
  await untilMay(door)
  await door.call('set', { umr: `${AGENT}.session.first`, value: '1' })
  const officeDoor = await office.door()
  await untilReady(officeDoor)

  const isHome = async (at: number): Promise<boolean> =>
    /^sealmesh_relay_cluster_homes 1$/m.test(await relays.at(at).metrics())
  const at = (await isHome(0)) ? 0 : 1
  expect(await isHome(1 - at)).toBe(false)
  await Promise.all([home.kill(), relays.at(at).kill()])

  await untilMay(officeDoor)
  expect(await isHome(1 - at)).toBe(true)
  expect(await officeDoor.call('must-hold', { agent: AGENT })).toMatchObject({ term: 2, witnessed: true })
  expect((await officeDoor.call('get', { umr: `${AGENT}.session.first` })).item).not.toBeNull()

  const back = await restart(home)
  ends.push(() => back.stop())
  const backDoor = await back.door()
  await until('the old holder knows', async () => (await rowOf(backDoor)).term === 2 || undefined, 60_000)
  expect((await rowOf(backDoor)).may).toBe(false)
})

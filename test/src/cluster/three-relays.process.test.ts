import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@nats-io/transport-node'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers } from '../processes/pair.ts'
import { until } from '../processes/wait.ts'
import { type ClusterMesh, fillMailboxes } from './cluster-mail.ts'
import { CutWire } from './cut-wire.ts'
import { admittedMesh, runTrial, TrialCluster } from './trials.ts'

let cluster: TrialCluster
let mesh: ClusterMesh
beforeAll(async () => {
  cluster = await TrialCluster.start()
  mesh = await admittedMesh(cluster, await loadSodium())
})
afterAll(async () => {
  await cluster?.stop()
})

test('what one relay of a cluster calls stored, another one delivers, and killed relays, servers and links change nothing of it', async () => {
  for (const [fault, at] of [
    ['relay killed', 0],
    ['server killed', 1],
    ['link cut', 2],
  ] as const) {
    const { missing, late, stored } = await runTrial(cluster, mesh, fault, at)
    expect({ fault, missing, late }).toEqual({ fault, missing: 0, late: 0 })
    expect(stored).toBeGreaterThan(0)
  }
})

test('ten thousand mailboxes lie in the streams without one consumer', async () => {
  expect(await fillMailboxes(mesh, cluster.relays.at(1).address, 10_000)).toBe(10_000)
  const nats = await connect({ servers: cluster.servers.addresses.replaceAll('nats://', '').split(',') })
  try {
    const said = await nats.request('$JS.API.STREAM.LIST', '{}', { timeout: 20_000 })
    const { streams } = said.json<{ streams: { state: { messages: number; consumer_count: number } }[] }>()
    const sum = (of: (state: { messages: number; consumer_count: number }) => number): number =>
      streams.reduce((total, { state }) => total + of(state), 0)
    expect(sum(({ messages }) => messages)).toBeGreaterThan(10_000)
    expect(sum(({ consumer_count: consumers }) => consumers)).toBe(0)
  } finally {
    await nats.close()
  }
})

test('two real machines on two relays stay in step, also when the home of their mesh is killed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sealmesh-cluster-nodes-'))
  // First to a relay that has not made the claim code.
  const [made, ...others] = cluster.relays.all.map(({ port }) => port)
  const balancer = await CutWire.to(...others, made ?? 0)
  const nodes: NodeProcess[] = []
  try {
    const relay = cluster.relays.at(0).addressAt(balancer.port)
    const claim = await cluster.relays.claim()
    const home = await NodeProcess.start({ home: join(directory, 'home'), name: 'home', relay, claim })
    nodes.push(home)
    const office = await pairNodes(home, { home: join(directory, 'office'), name: 'office' })
    nodes.push(office)
    const [door, officeDoor] = [await home.door(), await office.door()]
    const arrives = async (value: string): Promise<void> => {
      await door.call('set', { umr: 'home.semantic.day', value: JSON.stringify(value) })
      await until(
        `the office reads ${value}`,
        async () => {
          const got = await officeDoor.call('get', { umr: 'home.semantic.day' }).catch(() => null)
          return got !== null && JSON.stringify(got).includes(value)
        },
        60_000,
      )
    }
    await door.call('set', { umr: 'home.semantic.day', value: JSON.stringify('Sunday') })
    await door.call('agents.add', { name: 'home', standby: ['office'] })
    await shareLayers(home, 'home', ['semantic'], 'office')
    await arrives('Monday')
    // One of them is the home of this mesh, and each of the other two may be a front.
    for (let at = 0; at < 3; at++) {
      await cluster.relays.at(at).kill()
      await arrives(`without ${at}`)
      await cluster.relays.begin(at)
    }
    await Promise.all([door.close(), officeDoor.close()])
  } finally {
    await Promise.allSettled(nodes.map((node) => node.stop()))
    await balancer.close()
    rmSync(directory, { recursive: true, force: true })
  }
})

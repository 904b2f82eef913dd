import { connect } from '@nats-io/transport-node'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ClusterMesh, fillMailboxes } from './cluster-mail.ts'
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
    const said = await nats.request('$JS.API.STREAM.LIST', '{}')
    const { streams } = said.json<{ streams: { state: { messages: number; consumer_count: number } }[] }>()
    const sum = (of: (state: { messages: number; consumer_count: number }) => number): number =>
      streams.reduce((total, { state }) => total + of(state), 0)
    expect(sum(({ messages }) => messages)).toBeGreaterThan(10_000)
    expect(sum(({ consumer_count: consumers }) => consumers)).toBe(0)
  } finally {
    await nats.close()
  }
})

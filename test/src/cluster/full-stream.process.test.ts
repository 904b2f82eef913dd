import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { packetIdAt } from '@sealmesh/protocol/envelope/header'
import type { PacketId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { shardOf, shardStream } from '@sealmesh/relay/cluster/subjects'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { TestMesh } from '../relay/mesh.ts'
import { TestLink } from '../relay/running-relay.ts'
import { ClusterRelays } from './cluster-relays.ts'
import { NatsServers } from './nats-servers.ts'

/** A stream that may grow no more, as one whose disk is full. */
const ROOM_BYTES = 100_000
const PACKET_BYTES = 8_192

const directory = mkdtempSync(join(tmpdir(), 'sealmesh-full-'))
const links: TestLink[] = []
let sodium: Sodium
let servers: NatsServers
let relays: ClusterRelays
let nats: NatsConnection
let mesh: TestMesh

beforeAll(async () => {
  sodium = await loadSodium()
  servers = await NatsServers.start(directory, 1)
  relays = await ClusterRelays.start(directory, [servers.addresses])
  nats = await connect({ servers: servers.addresses.replace('nats://', '') })
  mesh = new TestMesh(sodium, 'full')
})
afterAll(async () => {
  for (const { link } of links) await link.close()
  await nats?.close()
  await relays?.stop()
  await servers?.stop()
  rmSync(directory, { recursive: true, force: true })
})

async function open(name: string, code?: string): Promise<TestLink> {
  const link = new TestLink(relays.at(0).address, mesh.member(name, code === undefined ? {} : { code }), sodium)
  links.push(link)
  return await link.live()
}

/** So many bytes more than it has now. */
async function leaveRoom(bytes: number): Promise<void> {
  const name = shardStream(shardOf(mesh.id))
  const ask = async (what: string, body: object) =>
    (await nats.request(`$JS.API.STREAM.${what}.${name}`, JSON.stringify(body))).json<{
      error?: unknown
      config: object
      state: { bytes: number }
    }>()
  const { config, state } = await ask('INFO', {})
  expect((await ask('UPDATE', { ...config, max_bytes: state.bytes + bytes })).error).toBeUndefined()
}

test('a full stream refuses what it has no room for, and what is live goes on; its reader makes room again', async () => {
  const alice = await open('alice', await relays.claim())
  const carol = await open('carol')
  const bob = mesh.member('bob')
  await leaveRoom(ROOM_BYTES)
  const send = async (to = bob.mailbox): Promise<{ id: PacketId; outcome: string }> => {
    const packet = mesh.packet([to], Date.now() + 3_600_000, PACKET_BYTES)
    alice.link.send(packet.bytes)
    return { id: packet.id, outcome: await alice.answered(packet.id) }
  }
  const stored: PacketId[] = []
  for (;;) {
    const { id, outcome } = await send()
    if (outcome !== 'stored') {
      expect(outcome).toBe('DISK_FULL')
      break
    }
    stored.push(id)
    expect(stored.length * PACKET_BYTES).toBeLessThan(ROOM_BYTES)
  }
  expect(stored.length).toBeGreaterThan(0)
  const live = await send(mesh.member('carol').mailbox)
  expect(live.outcome).toBe('delivered')
  expect((await carol.received(1)).map(packetIdAt)).toEqual([live.id])

  const reader = await open('bob')
  expect((await reader.received(stored.length)).map(packetIdAt)).toEqual(stored)
  await reader.link.close()
  await until('there is room again', async () => (await send()).outcome === 'stored')
})

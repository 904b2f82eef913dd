import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../processes/wait.ts'
import { type ClusterMesh, fillMailboxes, Reader, Sender } from './cluster-mail.ts'
import { ticksNow, timeEach } from './processor-time.ts'
import type { TrialCluster } from './trials.ts'

/** What else the capacity page of docs/relay/cluster.md calculates with, measured once. Kills the home at its end. */

export type CapacityRow = Readonly<Record<string, number | string>>

const WARM_MS = 1_500
const RUN_MS = 5_000
const PAGE_BYTES = Number(execFileSync('getconf', ['PAGESIZE']).toString())

export async function capacityRows(cluster: TrialCluster, mesh: ClusterMesh): Promise<CapacityRow[]> {
  const { relays, servers } = cluster
  const rows: CapacityRow[] = [await stored(cluster, mesh, 1_024), await connections(cluster, mesh)]
  const before = memoryOf(relays.at(0).pid)
  const startMs = performance.now()
  const count = await fillMailboxes(mesh, relays.at(1).address, 10_000)
  rows.push({
    name: 'mailboxes of one packet',
    count,
    seconds: Math.round(performance.now() - startMs) / 1_000,
    relayBytesEach: Math.round((memoryOf(relays.at(0).pid) - before) / count),
  })
  rows.push({ name: 'memory of a relay that is nobody’s home', bytes: memoryOf(relays.at(2).pid) })
  rows.push({ name: 'memory of a NATS server', bytes: memoryOf(servers.pid(0)) })
  rows.push(await takeover(cluster, mesh))
  return rows
}

async function stored(cluster: TrialCluster, mesh: ClusterMesh, bytes: number): Promise<CapacityRow> {
  const party = mesh.party()
  const senders = [0, 1, 2].map(
    (at) => new Sender(mesh, cluster.relays.at(at).address, at, [party], { bytes, inFlight: 256 }),
  )
  await delay(WARM_MS)
  const count = (): number => senders.reduce((sum, sender) => sum + sender.stored.size, 0)
  const [before, ticks] = [count(), ticksNow(cluster)]
  await delay(RUN_MS)
  const messages = count() - before
  const each = timeEach(ticks, ticksNow(cluster), messages)
  await Promise.all(senders.map((sender) => sender.close()))
  const perSecond = Math.round(messages / (RUN_MS / 1_000))
  return { name: 'stored on three servers, each synced', bytes, perSecond, ...each, left: count() }
}

/** Idle ones at a front whose home is another relay, plain WebSocket. */
async function connections({ relays }: TrialCluster, mesh: ClusterMesh): Promise<CapacityRow> {
  const [home, front] = [relays.at(0), relays.at(2)]
  const before = { home: memoryOf(home.pid), front: memoryOf(front.pid) }
  const readers: Reader[] = []
  for (let wave = 0; wave < 16; wave++) {
    for (let count = 0; count < 50; count++) readers.push(new Reader(mesh, front.address, mesh.party()))
    await until('they are let in', () => readers.every(({ isLive }) => isLive))
  }
  await delay(WARM_MS)
  const bytesEach = (pid: number, since: number): number => Math.round((memoryOf(pid) - since) / readers.length)
  const row = {
    name: 'connections carried to another relay',
    count: readers.length,
    homeBytesEach: bytesEach(home.pid, before.home),
    frontBytesEach: bytesEach(front.pid, before.front),
  }
  await Promise.all(readers.map((reader) => reader.close()))
  return row
}

/** From the death of a home until another relay serves the mesh, with all that waits for it. */
async function takeover({ relays }: TrialCluster, mesh: ClusterMesh): Promise<CapacityRow> {
  await relays.at(0).kill()
  const startMs = performance.now()
  const reader = new Reader(mesh, relays.at(1).address, mesh.party())
  const nudging = setInterval(() => reader.nudge(), 100)
  await until('the mesh has another home', () => reader.isLive, 60_000)
  clearInterval(nudging)
  const milliseconds = Math.round(performance.now() - startMs)
  const metrics = await relays.at(1).metrics()
  const gauge = (name: string): number => Number(new RegExp(`^sealmesh_relay_${name} (\\d+)`, 'm').exec(metrics)?.[1])
  await reader.close()
  return { name: 'takeover', milliseconds, packets: gauge('stored_packets'), bytes: gauge('stored_bytes') }
}

function memoryOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES
}

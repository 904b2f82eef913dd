import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { loadSodium } from '@sealmesh/sodium/load'
import { until } from '../processes/wait.ts'
import { type ClusterMesh, fillMailboxes, Reader, Sender } from './cluster-mail.ts'
import { admittedMesh, TrialCluster } from './trials.ts'

/**
 * `pnpm cluster-cost --json FILE`: what a message costs in processor time, in all relays and all NATS servers together,
 * where sender and reader are at their mesh's home and where both are at other relays; and what else the capacity page
 * of docs/relay/cluster.md calculates with. One run, so that its figures may be compared with one another.
 */

const WARM_MS = 1_500
const RUN_MS = 5_000
const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK']).toString())
const PAGE_BYTES = Number(execFileSync('getconf', ['PAGESIZE']).toString())

const { values } = parseArgs({ options: { json: { type: 'string' } } })
const cluster = await TrialCluster.start()
const rows: Record<string, number | string>[] = []
try {
  const mesh = await admittedMesh(cluster, await loadSodium())
  const { relays } = cluster
  // The first to be asked is its home.
  for (const bytes of [256, 1_024, 16_384])
    for (const [name, from, to] of [
      ['within one relay', 0, 0],
      ['from another relay', 1, 0],
      ['between two others', 1, 2],
    ] as const)
      rows.push(await live(mesh, name, relays.at(from).address, relays.at(to).address, bytes))
  for (const bytes of [1_024]) rows.push(await stored(mesh, bytes))
  rows.push(await connections(mesh))
  const before = memoryOf(relays.at(0).pid)
  const startMs = performance.now()
  const count = await fillMailboxes(mesh, relays.at(1).address, 10_000)
  rows.push({
    name: 'mailboxes of one packet',
    count,
    seconds: round((performance.now() - startMs) / 1_000),
    relayBytesEach: Math.round((memoryOf(relays.at(0).pid) - before) / count),
  })
  rows.push({ name: 'memory of a relay that is nobody’s home, MB', megabytes: round(memoryOf(relays.at(2).pid) / 1e6) })
  rows.push({ name: 'memory of a NATS server, MB', megabytes: round(memoryOf(cluster.servers.pid(0)) / 1e6) })
  rows.push(await takeover(mesh))
} finally {
  await cluster.stop()
}
for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`)
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ name: 'cluster-cost', rows }, null, 2)}\n`)

async function live(mesh: ClusterMesh, name: string, from: string, to: string, bytes: number) {
  const party = mesh.party()
  const reader = new Reader(mesh, to, party)
  await until('the reader is there', () => reader.isLive)
  const sender = new Sender(mesh, from, 1, [party], { bytes, inFlight: 64 })
  await pause(WARM_MS)
  const [count, relays, nats] = [reader.got.size, relayTicks(), natsTicks()]
  await pause(RUN_MS)
  const messages = reader.got.size - count
  const row = {
    name,
    bytes,
    perSecond: Math.round(messages / (RUN_MS / 1_000)),
    relayMicroseconds: round(((relayTicks() - relays) / TICKS_PER_SECOND / messages) * 1e6),
    natsMicroseconds: round(((natsTicks() - nats) / TICKS_PER_SECOND / messages) * 1e6),
  }
  await sender.close()
  await reader.close()
  return row
}

async function stored(mesh: ClusterMesh, bytes: number) {
  const party = mesh.party()
  const senders = [0, 1, 2].map(
    (at) => new Sender(mesh, cluster.relays.at(at).address, at, [party], { bytes, inFlight: 256 }),
  )
  await pause(WARM_MS)
  const count = (): number => senders.reduce((sum, sender) => sum + sender.stored.size, 0)
  const [before, relays, nats] = [count(), relayTicks(), natsTicks()]
  await pause(RUN_MS)
  const messages = count() - before
  const row = {
    name: 'stored on three servers, each synced',
    bytes,
    perSecond: Math.round(messages / (RUN_MS / 1_000)),
    relayMicroseconds: round(((relayTicks() - relays) / TICKS_PER_SECOND / messages) * 1e6),
    natsMicroseconds: round(((natsTicks() - nats) / TICKS_PER_SECOND / messages) * 1e6),
    left: count(),
  }
  await Promise.all(senders.map((sender) => sender.close()))
  return row
}

/** Idle ones at a front whose home is another relay, plain WebSocket. */
async function connections(mesh: ClusterMesh) {
  const [home, front] = [cluster.relays.at(0), cluster.relays.at(2)]
  const before = { home: memoryOf(home.pid), front: memoryOf(front.pid) }
  const readers: Reader[] = []
  for (let wave = 0; wave < 16; wave++) {
    for (let count = 0; count < 50; count++) readers.push(new Reader(mesh, front.address, mesh.party()))
    await until('they are let in', () => readers.every(({ isLive }) => isLive))
  }
  await pause(WARM_MS)
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
async function takeover(mesh: ClusterMesh) {
  await cluster.relays.at(0).kill()
  const startMs = performance.now()
  const reader = new Reader(mesh, cluster.relays.at(1).address, mesh.party())
  const nudging = setInterval(() => reader.nudge(), 100)
  await until('the mesh has another home', () => reader.isLive, 60_000)
  clearInterval(nudging)
  const health = (await (await fetch(`http://127.0.0.1:${cluster.relays.at(1).port}/healthz`)).json()) as {
    storedPackets: number
    storedBytes: number
  }
  await reader.close()
  const { storedPackets: packets, storedBytes: bytes } = health
  return { name: 'takeover', milliseconds: Math.round(performance.now() - startMs), packets, bytes }
}

function relayTicks(): number {
  return cluster.relays.all.reduce((sum, { pid }) => sum + ticksOf(pid), 0)
}

function natsTicks(): number {
  let ticks = 0
  for (let at = 0; at < cluster.servers.count; at++) ticks += ticksOf(cluster.servers.pid(at))
  return ticks
}

/** User and system time of a process. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return Number(fields[11]) + Number(fields[12])
}

function memoryOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

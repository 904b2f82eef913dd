import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { until } from '../processes/wait.ts'
import { ClusterMesh, Reader, Sender } from './cluster-mail.ts'
import { ClusterRelays } from './cluster-relays.ts'
import { CutWire } from './cut-wire.ts'
import { NatsServers } from './nats-servers.ts'

/** What can go wrong with a cluster, one thing at a time, under load. */
export const FAULTS = ['relay killed', 'server killed', 'link cut', 'relay paused', 'server paused'] as const
export type Fault = (typeof FAULTS)[number]

const COUNT = 3
const RECOVERY_MS = 60_000
/** Further answers that show that a sender goes on. */
const PROGRESS = 100
/** Longer than other relays wait for one that does not answer. */
const PAUSE_MS = 6_000

export interface TrialResult {
  readonly fault: Fault
  readonly at: number
  readonly stored: number
  readonly delivered: number
  readonly refused: number
  /** Called stored, and never delivered. */
  readonly missing: number
  readonly repeats: number
  readonly late: number
  /** From the fault until every sender whose relay lives had answers again, ms. */
  readonly recoveredMs: number
}

/** Three relays over three NATS servers, each relay behind wires of its own. */
export class TrialCluster {
  readonly servers: NatsServers
  readonly relays: ClusterRelays
  readonly #wires: readonly (readonly CutWire[])[]
  readonly #directory: string

  private constructor(directory: string, servers: NatsServers, relays: ClusterRelays, wires: readonly CutWire[][]) {
    this.#directory = directory
    this.servers = servers
    this.relays = relays
    this.#wires = wires
  }

  /** `wired`: so that links can be cut. Without, nothing stands between relays and servers, as a measurement needs it. */
  static async start({ wired = true } = {}): Promise<TrialCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'sealmesh-cluster-'))
    const servers = await NatsServers.start(directory, COUNT)
    const wires = await Promise.all(
      Array.from({ length: COUNT }, () => Promise.all(wired ? servers.ports.map((port) => CutWire.to(port)) : [])),
    )
    const addresses = wires.map((each) =>
      wired ? each.map(({ port }) => `nats://127.0.0.1:${port}`).join(',') : servers.addresses,
    )
    const relays = await ClusterRelays.start(directory, addresses).catch(async (error: unknown) => {
      await servers.stop()
      throw error
    })
    return new TrialCluster(directory, servers, relays, wires)
  }

  async inflict(fault: Fault, at: number): Promise<void> {
    if (fault === 'relay killed') await this.relays.at(at).kill()
    else if (fault === 'server killed') await this.servers.kill(at)
    else if (fault === 'link cut') for (const wire of this.#wires[at] ?? []) wire.cut()
    else if (fault === 'relay paused') process.kill(this.relays.at(at).pid, 'SIGSTOP')
    else process.kill(this.servers.pid(at), 'SIGSTOP')
  }

  async mend(fault: Fault, at: number): Promise<void> {
    if (fault === 'relay killed') await this.relays.begin(at)
    else if (fault === 'server killed') {
      this.servers.begin(at)
      await this.servers.up(at)
    } else if (fault === 'link cut') for (const wire of this.#wires[at] ?? []) wire.mend()
    else if (fault === 'relay paused') process.kill(this.relays.at(at).pid, 'SIGCONT')
    else process.kill(this.servers.pid(at), 'SIGCONT')
  }

  async stop(): Promise<void> {
    await this.relays.stop()
    await Promise.all(this.#wires.flat().map((wire) => wire.close()))
    await this.servers.stop()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** A mesh with a sender and a reader at each relay, and a reader that is away until the end. */
export async function runTrial(
  cluster: TrialCluster,
  mesh: ClusterMesh,
  fault: Fault,
  at: number,
): Promise<TrialResult> {
  const { relays } = cluster
  const parties = Array.from({ length: COUNT + 1 }, () => mesh.party())
  const senders: Sender[] = []
  const readers: Reader[] = []
  const nudging = setInterval(() => {
    for (const each of [...senders, ...readers]) each.nudge()
  }, 250)
  try {
    for (let index = 0; index < COUNT; index++) {
      const party = parties[index]
      if (party !== undefined) readers.push(new Reader(mesh, relays.at((index + 1) % COUNT).address, party))
    }
    await until('the readers are there', () => readers.every(({ isLive }) => isLive), RECOVERY_MS)
    for (let index = 0; index < COUNT; index++)
      senders.push(new Sender(mesh, relays.at(index).address, index + 1, parties))
    await progress(senders)

    await cluster.inflict(fault, at)
    const startMs = performance.now()
    const isAway = fault !== 'server killed' && fault !== 'server paused'
    await progress(senders.filter((_, index) => !isAway || index !== at))
    const recoveredMs = Math.round(performance.now() - startMs)
    if (fault.endsWith('paused'))
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, PAUSE_MS - recoveredMs)))
    await cluster.mend(fault, at)
    await progress(senders)

    await Promise.all(senders.map((sender) => sender.close()))
    const away = parties[COUNT]
    if (away !== undefined) readers.push(new Reader(mesh, relays.at(at).address, away))
    const stored = new Set(senders.flatMap((sender) => [...sender.stored]))
    await until('all is read', () => readers.every(({ drained }) => drained), RECOVERY_MS)
    const missing = (): number => [...stored].filter((packet) => !readers.some(({ got }) => got.has(packet))).length
    // Drained says what lay there at the login; a reader that was there before has it a moment later.
    await until('what was stored is there', () => missing() === 0, RECOVERY_MS).catch(() => undefined)
    const sum = (of: (reader: Reader) => number): number => readers.reduce((total, reader) => total + of(reader), 0)
    return {
      fault,
      at,
      stored: stored.size,
      delivered: senders.reduce((total, sender) => total + sender.delivered.size, 0),
      refused: senders.reduce((total, sender) => total + sender.refused, 0),
      missing: missing(),
      repeats: sum(({ repeats }) => repeats),
      late: sum(({ late }) => late),
      recoveredMs,
    }
  } finally {
    clearInterval(nudging)
    await Promise.allSettled([...senders, ...readers].map((each) => each.close()))
  }
}

export async function admittedMesh(cluster: TrialCluster, sodium: Sodium): Promise<ClusterMesh> {
  const mesh = new ClusterMesh(sodium)
  await mesh.introduce(cluster.relays.at(0).address, await cluster.relays.claim())
  return mesh
}

async function progress(senders: readonly Sender[]): Promise<void> {
  const before = senders.map(({ answered }) => answered)
  await until(
    'every sender has answers',
    () => senders.every(({ answered }, index) => answered >= (before[index] ?? 0) + PROGRESS),
    RECOVERY_MS,
  )
}

import { X509Certificate } from 'node:crypto'
import { readdirSync, statfsSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Hono } from 'hono'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { type Census, census } from './census.ts'
import { keyOfLimit, LIMIT_NAMES } from './config/limit-table.ts'
import type { ClusterFigures } from './cluster/cluster-tally.ts'
import type { RelayState } from './core/state.ts'
import type { Certificate } from './data/certificate.ts'
import type { MsHistogram } from './ms-histogram.ts'
import type { Tally } from './tally.ts'
import { RELAY_VERSION } from './version.ts'

export interface Metrics {
  readonly registry: Registry
  /** One durable group: how many changes, and how long the write and its fsync took. */
  groupWritten(operations: number, ms: number): void
  close(): void
}

export interface MetricsDeps {
  readonly state: RelayState
  readonly tally: Tally
  /** The one that is shown now. */
  readonly certificate: () => Certificate | null
  readonly startedMs: number
  /** Null where there is none. */
  readonly cluster: () => ClusterFigures | null
  /** The data directory, whose disk is looked at. */
  readonly data: string
  readonly now: () => number
}

/** A scrape asks for many sums at once: they come from one walk. */
const CENSUS_MS = 1_000
const LAG_RESOLUTION_MS = 10

/** Sums over everybody: no id, address or mesh is a label. Each name is in docs/relay/metrics.md. */
export function createMetrics(deps: MetricsDeps): Metrics {
  const { state, tally } = deps
  const registry = new Registry()
  const registers = [registry]
  const full = (name: string): string => `sealmesh_relay_${name}`
  const counter = (name: string, help: string, value: () => number): void => {
    new Counter({
      name: full(name),
      help,
      registers,
      collect() {
        this.reset()
        this.inc(value())
      },
    })
  }
  const counters = (name: string, help: string, label: string, values: () => Iterable<[string, number]>): void => {
    new Counter({
      name: full(name),
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset()
        for (const [key, value] of values()) this.inc({ [label]: key }, value)
      },
    })
  }
  /** Without a value where there is nothing to say. */
  const gauge = (name: string, help: string, value: () => number | null): void => {
    new Gauge({
      name: full(name),
      help,
      registers,
      collect() {
        const now = value()
        if (now === null) this.remove()
        else this.set(now)
      },
    })
  }
  const gauges = (name: string, help: string, label: string, values: () => Iterable<[string, number]>): void => {
    new Gauge({
      name: full(name),
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset()
        for (const [key, value] of values()) this.set({ [label]: key }, value)
      },
    })
  }

  let counted: { readonly atMs: number; readonly sums: Census } | null = null
  const sums = (): Census => {
    const nowMs = deps.now()
    if (counted === null || Math.abs(nowMs - counted.atMs) > CENSUS_MS)
      counted = { atMs: nowMs, sums: census(state, nowMs) }
    return counted.sums
  }

  gauges('info', 'The version of the relay.', 'version', () => [[RELAY_VERSION, 1]])
  gauge('started_timestamp_seconds', 'When the process was started.', () => deps.startedMs / 1_000)
  counters('packets_total', 'Packets answered, for each of their recipients.', 'outcome', () => [
    ['delivered', tally.delivered],
    ['stored', tally.stored],
    ['refused', [...tally.refused.values()].reduce((sum, n) => sum + n, 0)],
  ])
  counters('refused_total', 'Packets refused, by reason.', 'reason', () => tally.refused)
  counters('dropped_total', 'Packets that left a mailbox unread, by reason.', 'reason', () => tally.dropped)
  counters('goodbyes_total', 'Connections ended by the relay, by reason.', 'reason', () => tally.goodbyes)
  counters('turned_away_total', 'Of these, those that had not logged in.', 'reason', () => tally.turnedAway)
  counter('sockets_total', 'TCP connections that came, whatever became of them.', () => tally.sockets)
  counters(
    'sockets_ended_total',
    'Of these, those that the relay ended before they were a WebSocket.',
    'reason',
    () => tally.socketsEnded,
  )
  counter('received_bytes_total', 'Bytes of packets received.', () => tally.packetBytesIn)
  counter('sent_packets_total', 'Packets sent to readers.', () => tally.packetsOut)
  counter('sent_bytes_total', 'Bytes of packets sent to readers.', () => tally.packetBytesOut)
  counter('logins_total', 'Sessions that began.', () => tally.logins)
  counter('duplicate_logins_total', 'Sessions that idled an older one of the same login.', () => tally.duplicates)
  counter('spilled_packets_total', 'Packets taken back from readers that left or stopped.', () => tally.spilled)
  new ReadHistogram(full('queue_ms'), 'From the arrival of a packet to its answer.', tally.queueMs, registry)

  gauges('connections', 'Open connections, by state.', 'state', () => Object.entries(sums().connections))
  gauge('known_logins', 'Logins and open invites that are known.', () => state.logins.size)
  gauge('mailboxes', 'Mailboxes that hold something.', () => sums().mailboxes)
  gauge('mailbox_packets_most', 'Packets in the fullest mailbox.', () => sums().mailboxPacketsMost)
  gauge('mailbox_bytes_most', 'Bytes in the fullest mailbox.', () => sums().mailboxBytesMost)
  gauge('oldest_packet_seconds', 'How long the packet has waited that waits longest; 0 for none.', () =>
    Math.max(0, (sums().oldestMs ?? 0) / 1_000),
  )
  gauge('meshes', 'Meshes that are admitted.', () => {
    let admitted = 0
    for (const { barred } of state.meshes.values()) if (!barred) admitted += 1
    return admitted
  })
  gauge('stored_packets', 'Packets in mailboxes.', () => sums().packets)
  gauge('stored_bytes', 'Bytes of packets in mailboxes.', () => sums().bytes)
  gauge('vault_bytes', 'Bytes of sealed snapshots.', () => sums().vaultBytes)
  gauges('limit', 'The limits that count now.', 'limit', () =>
    LIMIT_NAMES.map((name) => [keyOfLimit(name), state.limits[name]]),
  )

  gauge('pending_writes', 'Answers that wait for the disk.', () => state.pending.size)
  gauge('disk_ok', 'Whether packets can be stored.', () => (state.diskTrouble === null ? 1 : 0))
  gauge('disk_free_bytes', 'Free on the disk of the data directory.', () => freeBytes(deps.data))
  const groupMs = new Histogram({
    name: full('fsync_ms'),
    help: 'How long one durable group took.',
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000],
    registers,
  })
  const groupSize = new Histogram({
    name: full('group_changes'),
    help: 'Changes in one durable group.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096],
    registers,
  })

  const cluster = <T>(read: (figures: ClusterFigures) => T): T | null => {
    const figures = deps.cluster()
    return figures === null ? null : read(figures)
  }
  gauge('cluster_ready', 'Whether NATS and its streams can be reached.', () =>
    cluster(({ isReady }) => (isReady ? 1 : 0)),
  )
  gauge('cluster_homes', 'Meshes that this relay is home of.', () => cluster(({ homes }) => homes))
  gauges('cluster_carried_connections', 'Connections between here and another relay, by what is here.', 'side', () =>
    Object.entries(cluster(({ carried }) => carried) ?? {}),
  )
  gauge('cluster_waiting_bytes', 'Bytes that wait for JetStream.', () => cluster(({ waitingBytes }) => waitingBytes))
  counters('cluster_moves_total', 'Meshes that came to this relay and left it, by how.', 'how', () =>
    Object.entries(cluster(({ tally: { takeovers, released, lost } }) => ({ taken: takeovers, released, lost })) ?? {}),
  )
  counters('cluster_batches_total', 'Batches that were sent to JetStream, by what it said.', 'result', () =>
    Object.entries(cluster(({ tally: { batches } }) => batches) ?? {}),
  )

  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
  lag.enable()
  gauges('event_loop_lag_ms', 'How late the event loop came since the last look.', 'quantile', () => {
    // The timer's own period is no lag.
    const ms = (ns: number): number => Math.max(0, ns / 1e6 - LAG_RESOLUTION_MS)
    const seen: [string, number][] = [
      ['0.5', ms(lag.percentile(50))],
      ['0.99', ms(lag.percentile(99))],
      ['1', ms(lag.max)],
    ]
    lag.reset()
    return seen
  })
  gauge('resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss())
  gauges('memory_bytes', 'Of it, by what it holds.', 'part', () => {
    const { heapUsed, external, arrayBuffers } = process.memoryUsage()
    return Object.entries({ heap: heapUsed, external, buffers: arrayBuffers })
  })
  counter('cpu_seconds_total', 'Processor time of the process.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  gauge('open_files', 'Open file descriptors: each connection is one.', openFiles)
  gauge('certificate_expires_timestamp_seconds', 'When the certificate that nodes are shown ends.', () => {
    const certificate = deps.certificate()
    return certificate === null ? null : Date.parse(new X509Certificate(certificate.cert).validTo) / 1_000
  })

  return {
    registry,
    groupWritten(operations, ms) {
      groupMs.observe(ms)
      groupSize.observe(operations)
    },
    close() {
      lag.disable()
    },
  }
}

/** For Prometheus, at an address of its own: what is counted here is the owner's business. */
export function createMetricsApp({ registry }: Metrics): Hono {
  const app = new Hono()
  app.get('/metrics', async (c) => c.text(await registry.metrics(), 200, { 'content-type': registry.contentType }))
  return app
}

/** One that is counted elsewhere, without a label or an object for each packet. */
class ReadHistogram extends Histogram {
  readonly #values: MsHistogram
  readonly #name: string
  readonly #help: string

  constructor(name: string, help: string, values: MsHistogram, registry: Registry) {
    super({ name, help, registers: [registry] })
    this.#name = name
    this.#help = help
    this.#values = values
  }

  // oxlint-disable-next-line typescript/require-await -- its parent's signature
  override async get(): ReturnType<Histogram['get']> {
    const [name, help] = [this.#name, this.#help]
    const { buckets, count, sum } = this.#values.read()
    const at = (suffix: string, value: number, labels: { le?: number | string } = {}) => ({
      metricName: `${name}_${suffix}`,
      labels,
      value,
    })
    const values = [
      ...buckets.map((bucket) => at('bucket', bucket.count, { le: bucket.le })),
      at('bucket', count, { le: '+Inf' }),
      at('sum', sum),
      at('count', count),
    ]
    // Its types name an enumeration that is not there when it runs.
    return { name, help, type: 'histogram', values, aggregator: 'sum' } as unknown as Awaited<
      ReturnType<Histogram['get']>
    >
  }

  /** What the text format asks for. */
  async getForPromString(): ReturnType<Histogram['get']> {
    return await this.get()
  }
}

function freeBytes(path: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return null // Some file systems do not say.
  }
}

function openFiles(): number | null {
  try {
    // Less the one that reads the list.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return null // Not on this system.
  }
}

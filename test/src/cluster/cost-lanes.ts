import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../processes/wait.ts'
import { type ClusterMesh, type Party, Reader, Sender } from './cluster-mail.ts'
import { ticksNow, timeEach } from './processor-time.ts'
import type { TrialCluster } from './trials.ts'

/**
 * What a message costs in processor time, by the way that it goes through a cluster. What is compared carries the same
 * load: the same messages a second, each of them alone, from the same nodes. A closed loop would compare something
 * else: within one relay it turns so fast that many messages share one turn, and across relays few do.
 */

/** The first relay that is asked becomes the home of the mesh. */
export const WAYS = [
  { name: 'within one relay', from: 0, to: 0 },
  { name: 'from another relay', from: 1, to: 0 },
  { name: 'between two others', from: 1, to: 2 },
] as const
export type Way = (typeof WAYS)[number]['name']

/**
 * `perSecond`: well below what either way can carry. Null: each sender has `FLYING` packets on their way at all times,
 * which is as much as the machine carries.
 */
export interface Load {
  readonly bytes: number
  readonly perSecond: number | null
}

export const LOADS: readonly Load[] = [
  { bytes: 256, perSecond: 4_000 },
  { bytes: 1_024, perSecond: 4_000 },
  { bytes: 16_384, perSecond: 600 },
  { bytes: 256, perSecond: null },
  { bytes: 1_024, perSecond: null },
  { bytes: 16_384, perSecond: null },
]

export interface Cost {
  readonly way: Way
  readonly bytes: number
  readonly offered: number | null
  readonly perSecond: number
  /** Processor time, µs for each message: of all relays together, and of all NATS servers. */
  readonly relays: number
  readonly nats: number
}

const PAIRS = 8
const FLYING = 64
const WARM_MS = 1_000
const RUN_MS = 4_000

/** The same nodes for all lanes, on both ends. */
export class CostLanes {
  readonly #cluster: TrialCluster
  readonly #mesh: ClusterMesh
  readonly #senders: readonly Party[]
  readonly #readers: readonly Party[]

  constructor(cluster: TrialCluster, mesh: ClusterMesh) {
    this.#cluster = cluster
    this.#mesh = mesh
    this.#senders = Array.from({ length: PAIRS }, () => mesh.party())
    this.#readers = Array.from({ length: PAIRS }, () => mesh.party())
  }

  async run({ name: way, from, to }: (typeof WAYS)[number], { bytes, perSecond }: Load): Promise<Cost> {
    const { relays } = this.#cluster
    const readers = this.#readers.map((party) => new Reader(this.#mesh, relays.at(to).address, party))
    await until('the readers are there', () => readers.every(({ isLive }) => isLive))
    const inFlight = perSecond === null ? FLYING : 0
    const senders = this.#senders.map(
      (party, at) =>
        new Sender(this.#mesh, relays.at(from).address, at + 1, this.#readers.slice(at, at + 1), {
          bytes,
          inFlight,
          party,
        }),
    )
    await until('the senders are there', () => senders.every(({ isLive }) => isLive))
    const stop = new AbortController()
    const pacing = perSecond === null ? null : pace(senders, perSecond, stop.signal)
    await delay(WARM_MS)
    const got = (): number => readers.reduce((sum, reader) => sum + reader.got.size, 0)
    const [startMs, count, ticks] = [performance.now(), got(), ticksNow(this.#cluster)]
    await delay(RUN_MS)
    const messages = got() - count
    const cost: Cost = {
      way,
      bytes,
      offered: perSecond,
      perSecond: Math.round((messages * 1_000) / (performance.now() - startMs)),
      ...timeEach(ticks, ticksNow(this.#cluster), messages),
    }
    stop.abort()
    await pacing
    await Promise.all([...senders, ...readers].map((each) => each.close()))
    return cost
  }
}

/** One packet at a time, from each sender in turn: what a turn was late for follows in the next ones. */
async function pace(senders: readonly Sender[], perSecond: number, signal: AbortSignal): Promise<void> {
  const startMs = performance.now()
  for (let sent = 0; !signal.aborted; await delay(1)) {
    const due = ((performance.now() - startMs) * perSecond) / 1_000
    for (; sent < due; sent++) senders[sent % senders.length]?.send()
  }
}

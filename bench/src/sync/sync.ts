import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { type BenchOptions, type Measured, median, quantile, type Row, row } from '../result.ts'
import { type Ours, startOurs } from './ours.ts'
import { startRival } from './rival.ts'
import { type Pair, runBurst, runPaced } from './run.ts'
import { measureUnitCosts } from './unit-costs.ts'
import { BATCH, KEYS, PACED_PER_SECOND, PACED_WRITES, VALUE_BYTES, WARM_UP_WRITES, WINDOW, WRITES } from './workload.ts'

/**
 * Writes from one machine to another. Ours: a relay process and two node processes on loopback; every write sealed and
 * signed, fsynced at home and applied and fsynced at the office before it counts. The rival: Hocuspocus 3 with Yjs, in
 * clear, storing nothing. Same writes, same batches, same number in flight, runs of both in turn.
 */

export interface Shape {
  readonly id: string
  readonly writers: number
  readonly batch: number
  readonly writes: number
}

export const SHAPES: readonly Shape[] = [
  { id: 'one-writer', writers: 1, batch: BATCH, writes: WRITES },
  { id: 'ten-writers', writers: 10, batch: BATCH, writes: WRITES },
  { id: 'one-writer-single-writes', writers: 1, batch: 1, writes: WRITES / 4 },
  { id: 'ten-writers-single-writes', writers: 10, batch: 1, writes: WRITES / 4 },
]

/** Either system, as the measuring below sees it. */
export interface System {
  /** A fresh writer process with that many clients of its own, and a fresh observer process. */
  withPair<T>(clients: number, use: (pair: Pair) => Promise<T>): Promise<T>
  close(): Promise<void>
}

export async function benchSync({ runs, progress }: BenchOptions): Promise<Measured> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-bench-'))
  const systems: System[] = []
  try {
    progress('starting Hocuspocus, and a relay with two nodes')
    const rival = await startRival()
    systems.push(rival)
    const ours = await startOurs(directory)
    systems.push(ours)
    const rows: Row[] = []
    const notes: string[] = []
    let run = 0

    for (const shape of SHAPES) {
      const rates: { ours: number[]; shared: number[]; own: number[] } = { ours: [], shared: [], own: [] }
      for (let i = 0; i < runs; i++) {
        progress(`${shape.id}: run ${i + 1} of ${runs}`)
        rates.ours.push(await burst(ours, shape.writers, shape, ++run))
        rates.shared.push(await burst(rival, 1, shape, ++run))
        if (shape.writers > 1) rates.own.push(await burst(rival, shape.writers, shape, ++run))
      }
      // The rival's best way with many writers: they share one Y.Doc and connection, or each has its own.
      const [shared, own] = [median(rates.shared), rates.own.length > 0 ? median(rates.own) : 0]
      if (rates.own.length > 0)
        notes.push(
          `${shape.id}: the rival reached ${shared.toFixed(0)}/s with all writers on one Y.Doc, ${own.toFixed(0)}/s with a Y.Doc each; the better one counts.`,
        )
      const [mine, theirs] = [median(rates.ours), Math.max(shared, own)]
      rows.push(
        row({ id: shape.id, ours: mine, rival: theirs, unit: 'writes/s', bar: '>= the rival', ok: mine >= theirs }),
      )
      const rate = await burst(ours.throughSockets, shape.writers, shape, ++run)
      const id = `${shape.id}-over-local-sockets`
      rows.push(row({ id, ours: rate, rival: theirs, unit: 'writes/s', bar: null, ok: null }))
    }
    rows.push(...(await latency(ours, rival, directory, runs, progress)))
    return { rows, notes: [...notes, ...NOTES] }
  } finally {
    for (const system of systems.reverse()) await system.close()
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

const NOTES = [
  `${KEYS} keys written round and round, values of ${VALUE_BYTES} bytes. At most ${WINDOW} writes of a writer in flight: sent and not yet visible at the other machine, in both systems.`,
  `Rows without "single": ${BATCH} writes go together, in one set.many call here and in one Yjs transaction there. "single": every write is a call, or a transaction, of its own.`,
  'writes/s: from the first write until the last is visible at the other machine; ours are then fsynced on both, the rival has stored nothing.',
  `Before each measured run, ${WARM_UP_WRITES} writes of the same kind in the same processes, in both systems.`,
  'After each run of ours the bench waits until its nodes have done what they put off, such as compaction, so that it does not fall into a run of the rival.',
  'Each system is hosted by the process that writes and the process that watches. "over-local-sockets": the same nodes, with writer and watcher in two further processes that use the local socket; one run, no bar.',
  `Latency: from the call until the write is visible at the other machine, at ${PACED_PER_SECOND} single writes a second, ${PACED_WRITES} of them in each run.`,
]

export async function burst(system: System, clients: number, shape: Shape, run: number): Promise<number> {
  const { writers, batch, writes } = shape
  const order = { run, writers, writesPerWriter: Math.floor(writes / writers), batch, window: WINDOW }
  return await system.withPair(clients, async (pair) => {
    await warmUp(pair, writers, batch, run)
    return await runBurst(pair, order)
  })
}

/**
 * Compilers and caches, in every pair of either system: the rival's are new processes each time, so that no run pays
 * for another's history, and ours are not.
 */
async function warmUp(pair: Pair, writers: number, batch: number, run: number): Promise<void> {
  const writesPerWriter = Math.floor(WARM_UP_WRITES / writers)
  await runBurst(pair, { run: -run, writers, writesPerWriter, batch, window: WINDOW })
}

async function latency(
  ours: Ours,
  rival: System,
  directory: string,
  runs: number,
  progress: (line: string) => void,
): Promise<Row[]> {
  const figures: Record<'ours50' | 'ours99' | 'rival50' | 'rival99' | 'put' | 'crypto', number[]> = {
    ours50: [],
    ours99: [],
    rival50: [],
    rival99: [],
    put: [],
    crypto: [],
  }
  for (let i = 0; i < runs; i++) {
    progress(`latency at ${PACED_PER_SECOND} writes/s: run ${i + 1} of ${runs}`)
    const paced = async (pair: Pair) => {
      await warmUp(pair, 1, 1, 1_000 + i)
      return await runPaced(pair, 1_000 + i, PACED_WRITES, 1_000 / PACED_PER_SECOND)
    }
    const mine = await ours.withPair(1, paced)
    const theirs = await rival.withPair(1, paced)
    const costs = await measureUnitCosts(directory)
    figures.ours50.push(median(mine))
    figures.ours99.push(quantile(mine, 0.99))
    figures.rival50.push(median(theirs))
    figures.rival99.push(quantile(theirs, 0.99))
    figures.put.push(costs.syncedPutMs)
    figures.crypto.push(costs.sealSignOpenVerifyMs)
  }
  const [mine, theirs, put, crypto] = [figures.ours50, figures.rival50, figures.put, figures.crypto].map(median)
  if (mine === undefined || theirs === undefined || put === undefined || crypto === undefined) return []
  const barMs = 3 * theirs + 3 * put + crypto
  const bar = `<= ${barMs.toPrecision(3)} ms: 3 x the rival + 3 synced puts + 1 seal, sign, open, verify`
  const figure = { unit: 'ms', bar: null, ok: null }
  return [
    row({ id: 'latency-p50', ours: mine, rival: theirs, unit: 'ms', bar, ok: mine <= barMs }),
    row({ id: 'latency-p99', ours: median(figures.ours99), rival: median(figures.rival99), ...figure }),
    row({ id: 'one-synced-put', ours: put, rival: null, ...figure }),
    row({ id: 'one-seal-sign-open-verify', ours: crypto, rival: null, ...figure }),
  ]
}

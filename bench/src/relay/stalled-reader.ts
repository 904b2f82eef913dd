import * as path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { loadSodium } from '@sealmesh/sodium/load'
import { CONNECTION_QUEUE_BYTES_MAX } from '@sealmesh/protocol/limits'
import { until } from '@sealmesh/test/processes/wait'
import { type BenchOptions, type Measured, median, quantile, row } from '../result.ts'
import { measureWhile } from './generators.ts'
import { stampNow } from './lane.ts'
import { openOurLane } from './our-lane.ts'
import { ownBytes } from './process-figures.ts'
import { type Server, startRelay } from './servers.ts'

/** A reader that stops while somebody sends it all that the relay takes, and others who have nothing to do with it. */

const OFFERED_BYTES = 512 * 1_048_576
const PACKET_BYTES = 65_536
const WINDOW = 64
const MEASURE_MS = 8_000
const PER_SECOND = 400
const LANES = 16
const SENDER = 500
const READER = 501
const CUT_WAIT_MS = 30_000
const LOOK_MS = 500
const MEBIBYTE = 1_048_576
const CUT_BAR_S = 15
const MEMORY_BAR_MIB = (2 * CONNECTION_QUEUE_BYTES_MAX) / MEBIBYTE + 32

export async function stalledReader(directory: string, { runs, progress }: BenchOptions): Promise<Measured> {
  const figures = Object.fromEntries(FIGURES.map((name) => [name, [] as number[]])) as Record<Figure, number[]>
  for (let run = 0; run < runs; run++) {
    const measured = await once(directory, run)
    for (const name of FIGURES) figures[name].push(measured[name])
    const [grown, cut, calm, control, during] = FIGURES.map((name) => measured[name].toPrecision(3))
    progress(
      `stalled-reader, run ${run + 1} of ${runs}: +${grown} MiB, cut after ${cut} s, p99 ${calm} ms, ${control} ms while another relay gets it, ${during} ms`,
    )
  }
  const [grown, cut] = [Math.max(...figures.grown), Math.max(...figures.cut)]
  const [calm, control, during] = [median(figures.calm), median(figures.control), median(figures.during)]
  const id = 'stalled-reader'
  const memory = { unit: 'MiB', bar: `<= ${MEMORY_BAR_MIB}`, ok: grown <= MEMORY_BAR_MIB }
  return {
    rows: [
      row({ id: `${id}-memory`, ours: grown, rival: null, ...memory }),
      row({ id: `${id}-cut`, ours: cut, rival: null, unit: 's', bar: `<= ${CUT_BAR_S}`, ok: cut <= CUT_BAR_S }),
      row({
        id: `${id}-p99`,
        ours: during,
        rival: control,
        unit: 'ms',
        bar: '<= 2 x control',
        ok: during <= 2 * control,
      }),
      row({ id: `${id}-p99-calm`, ours: during, rival: calm, unit: 'ms', bar: null, ok: null }),
    ],
    notes: [
      `stalled-reader: 512 MiB offered in packets of ${PACKET_BYTES} B to a reader that has stopped, as fast as the relay takes them; own (anonymous) memory: the most beyond what it was before, worst run; p99 of ${PER_SECOND} messages a second between others during it, beside a control (the same flood at another relay on this machine, docs/adr/0012) and beside the calm before.`,
    ],
  }
}

const FIGURES = ['grown', 'cut', 'calm', 'control', 'during'] as const
type Figure = (typeof FIGURES)[number]

async function once(directory: string, run: number): Promise<Record<Figure, number>> {
  const relay = await startRelay({ data: path.join(directory, `relay-${run}`) })
  const other = await startRelay({ data: path.join(directory, `other-${run}`) })
  try {
    const honest = { lanes: LANES, bytes: 1_024, load: { type: 'paced', perSecond: PER_SECOND } } as const
    let [grownBytes, cutMs] = [Number.NaN, Number.NaN]
    const windows = await measureWhile(relay, honest, [
      () => pause(MEASURE_MS),
      () => stall(other),
      async () => ({ grownBytes, cutMs } = await stall(relay)),
    ])
    const [calm, control, during] = windows.map(({ latencies }) => quantile(latencies, 0.99)) as [
      number,
      number,
      number,
    ]
    return { grown: grownBytes / MEBIBYTE, cut: cutMs / 1_000, calm, control, during }
  } finally {
    await relay.stop()
    await other.stop()
  }
}

async function stall(relay: Server): Promise<{ grownBytes: number; cutMs: number }> {
  const sodium = await loadSodium()
  const [claim] = relay.claims
  const common = { url: relay.url, relay: relay.relay, bytes: PACKET_BYTES, sodium, ...(claim ? { claim } : {}) }
  const reader = await openOurLane({ ...common, number: READER, onMessage: () => undefined })
  reader.pause()
  const before = ownBytes(relay.pid)
  let most = before
  const watch = setInterval(() => (most = Math.max(most, ownBytes(relay.pid))), 20)
  let [sent, answered] = [0, 0]
  const fill = (): void => {
    for (; sent * PACKET_BYTES < OFFERED_BYTES && sent - answered < WINDOW; sent++) sender.send(READER, 0)
  }
  const sender = await openOurLane({
    ...common,
    number: SENDER,
    onMessage: () => undefined,
    onAnswer: () => {
      answered += 1
      fill()
    },
  })
  const startedMs = stampNow()
  let cutAtMs = 0
  fill()
  try {
    await until('the reader is cut', async () => await isCut(relay), CUT_WAIT_MS)
    cutAtMs = stampNow()
    await until('all is answered', () => answered * PACKET_BYTES >= OFFERED_BYTES, CUT_WAIT_MS)
  } finally {
    clearInterval(watch)
    sender.close()
    reader.close()
  }
  return { grownBytes: most - before, cutMs: cutAtMs - startedMs }
}

/** As the relay says: a reader that has stopped does not see it. Asked seldom: to answer holds its others up. */
async function isCut(relay: Server): Promise<boolean> {
  await pause(LOOK_MS)
  const metrics = await (await fetch(relay.metrics)).text()
  return metrics.includes('goodbyes_total{reason="READER_STALLED"} 1')
}

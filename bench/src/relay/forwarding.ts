import { type BenchOptions, type Measured, median, quantile, type Row, row } from '../result.ts'
import { measureUnderLoad } from './generators.ts'
import type { Rivals } from './rivals.ts'
import type { System } from './servers.ts'

/** Messages from sender to reader: what each costs the server, and how long it takes. */

const LANES = 16
const WINDOW = 64
const MEASURE_MS = 3_000
export const SIZES = [
  { name: '256B', bytes: 256, bar: 1.5 },
  { name: '1KiB', bytes: 1_024, bar: 1.5 },
  { name: '16KiB', bytes: 16_384, bar: 0.8 },
] as const

export async function forwarding(
  { name, bytes, bar }: (typeof SIZES)[number],
  rivals: Rivals,
  { runs, progress }: BenchOptions,
): Promise<Measured> {
  const rates = new Map<System, number[]>()
  for (let run = 0; run < runs; run++) {
    for (const server of rivals.all) {
      const load = { type: 'full', window: WINDOW } as const
      const measured = await measureUnderLoad(server, { lanes: LANES, bytes, load, measureMs: MEASURE_MS })
      const rate = measured.messages / measured.cpuSeconds
      rates.set(server.system, [...(rates.get(server.system) ?? []), rate])
      const busy = (measured.cpuSeconds / measured.seconds).toFixed(2)
      progress(
        `${name}, run ${run + 1} of ${runs}: ${server.system} ${rate.toFixed(0)} messages per CPU-second, ${busy} cores`,
      )
    }
  }
  const of = (system: System): number => median(rates.get(system) ?? [])
  const unit = 'messages/CPU s'
  const ok = of('ours') >= bar * of('bare')
  const rows = [
    row({ id: `forward-${name}`, ours: of('ours'), rival: of('bare'), unit, bar: `>= ${bar} x bare ws`, ok }),
  ]
  const nats = rates.has('nats') ? of('nats') : null
  rows.push(row({ id: `forward-${name}-nats`, ours: of('ours'), rival: nats, unit, bar: null, ok: null }))
  return { rows, notes: bytes === SIZES[0].bytes ? NOTES : [] }
}

const NOTES = [
  `forward: ${LANES} connections in two processes, each sending to the next with ${WINDOW} messages on their way; CPU of the server's process alone, all threads. Ours: sealed packets with headers, logins, answers and acknowledgements, metrics, logs and limits on. The smallest packet there is has 688 B, so the row of 256 B moves 688 B here and 256 B there.`,
]

const PER_SECOND = 1_000
const LATENCY_MS = 5_000

export async function latency(rivals: Rivals, { runs, progress }: BenchOptions): Promise<Measured> {
  const figures = {
    ours: { p50: [] as number[], p99: [] as number[] },
    bare: { p50: [] as number[], p99: [] as number[] },
  }
  for (let run = 0; run < runs; run++) {
    for (const server of [rivals.ours, rivals.bare]) {
      const load = { type: 'paced', perSecond: PER_SECOND } as const
      const { latencies } = await measureUnderLoad(server, { lanes: LANES, bytes: 1_024, load, measureMs: LATENCY_MS })
      const [p50, p99] = [median(latencies), quantile(latencies, 0.99)]
      const of = server.system === 'ours' ? figures.ours : figures.bare
      of.p50.push(p50)
      of.p99.push(p99)
      progress(
        `latency, run ${run + 1} of ${runs}: ${server.system} p50 ${p50.toFixed(3)} ms, p99 ${p99.toFixed(3)} ms`,
      )
    }
  }
  const one = (id: 'p50' | 'p99', bar: number): Row => {
    const [ours, rival] = [median(figures.ours[id]), median(figures.bare[id])]
    return row({ id: `latency-${id}`, ours, rival, unit: 'ms', bar: `<= ${bar} x bare ws`, ok: ours <= bar * rival })
  }
  return {
    rows: [one('p50', 1.3), one('p99', 2)],
    notes: [
      `latency: ${PER_SECOND} messages of 1 KiB a second, from when a message was due at its sender to its reader.`,
    ],
  }
}

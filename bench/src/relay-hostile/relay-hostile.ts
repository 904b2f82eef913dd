import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ATTACKS, type AttackKind } from '@sealmesh/test/hostile/attack'
import { measureUnderLoad } from '../relay/generators.ts'
import { ownBytes } from '../relay/process-figures.ts'
import { type Server, startRelay, startScript } from '../relay/servers.ts'
import { type BenchOptions, type Measured, median, quantile, type Row, row } from '../result.ts'

/**
 * A thousand hostile connections of each kind beside honest traffic at the same relay. The control: the same attack at
 * the same time, but on a sink, so that what the attacker takes from the machine counts for both.
 */

const CONNECTIONS = 1_000
const LANES = 16
const PER_SECOND = 400
const MEASURE_MS = 6_000
/** Until all of them are there. */
const GATHER_MS = 1_000
const MEMORY_BAR_MIB = 128
const MEBIBYTE = 1_048_576

interface Figures {
  readonly p50: number[]
  readonly p99: number[]
}

export async function benchRelayHostile(options: BenchOptions): Promise<Measured> {
  const rows: Row[] = []
  for (const kind of ATTACKS) {
    if (options.only !== undefined && options.only !== kind) continue
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-bench-'))
    try {
      rows.push(...(await under(kind, directory, options)))
    } finally {
      fs.rmSync(directory, { recursive: true, force: true })
    }
  }
  return {
    rows,
    notes: [
      `${CONNECTIONS} hostile connections from 50 addresses, opened again a second after they were ended, or each second where they have said all they wanted, beside ${PER_SECOND} honest messages of 1 KiB a second. Rival: the same attack on a sink that answers upgrades and reads. Memory: own (anonymous) memory at the end less that before, worst run. The relay's process is the same one throughout.`,
    ],
  }
}

async function under(kind: AttackKind, directory: string, { runs, progress }: BenchOptions): Promise<Row[]> {
  const control: Figures = { p50: [], p99: [] }
  const attacked: Figures = { p50: [], p99: [] }
  let grown = 0
  const relay = await startRelay({ data: path.join(directory, 'relay'), tls: kind === 'tls-silent' })
  const sink = await startScript(fileURLToPath(new URL('./null-sink.js', import.meta.url)))
  try {
    // Compilers and caches, for both.
    await honest(relay, { p50: [], p99: [] })
    for (let run = 0; run < runs; run++) {
      await beside(kind, sink.port, () => honest(relay, control))
      const before = ownBytes(relay.pid)
      await beside(kind, Number(new URL(relay.url).port), () => honest(relay, attacked))
      grown = Math.max(grown, (ownBytes(relay.pid) - before) / MEBIBYTE)
      const [c50, c99, a50, a99] = [control.p50, control.p99, attacked.p50, attacked.p99].map((all) => last(all))
      progress(
        `${kind}, run ${run + 1} of ${runs}: p50 ${c50} then ${a50} ms, p99 ${c99} then ${a99} ms, +${grown.toFixed(0)} MiB`,
      )
    }
  } finally {
    await sink.stop()
    // A relay that had ended by itself would fail here.
    await relay.stop()
  }
  const one = (id: 'p50' | 'p99', bar: number): Row => {
    const [ours, rival] = [median(attacked[id]), median(control[id])]
    return row({
      id: `${kind}-${id}`,
      ours,
      rival,
      unit: 'ms',
      bar: `<= ${bar} x the control`,
      ok: ours <= bar * rival,
    })
  }
  const bar = `<= ${MEMORY_BAR_MIB}`
  return [
    one('p50', 1.5),
    one('p99', 3),
    row({ id: `${kind}-memory`, ours: grown, rival: null, unit: 'MiB', bar, ok: grown <= MEMORY_BAR_MIB }),
  ]
}

const last = (values: readonly number[]): string => (values.at(-1) ?? Number.NaN).toPrecision(3)

async function honest(relay: Server, figures: Figures): Promise<void> {
  const load = { type: 'paced', perSecond: PER_SECOND } as const
  const { latencies } = await measureUnderLoad(relay, { lanes: LANES, bytes: 1_024, load, measureMs: MEASURE_MS })
  figures.p50.push(median(latencies))
  figures.p99.push(quantile(latencies, 0.99))
}

async function beside(kind: AttackKind, port: number, act: () => Promise<void>): Promise<void> {
  const attacker: ChildProcess = fork(
    fileURLToPath(new URL('./attacker.js', import.meta.url)),
    [kind, String(port), String(CONNECTIONS)],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  )
  try {
    await once(attacker, 'message')
    await pause(GATHER_MS)
    await act()
    attacker.send('opened?')
    const [opened] = (await once(attacker, 'message')) as [number]
    if (opened < CONNECTIONS) throw new Error(`only ${opened} hostile connections were opened`)
  } finally {
    attacker.kill('SIGKILL')
    await once(attacker, 'exit')
  }
}

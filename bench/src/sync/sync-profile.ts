import type { ChildProcess } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { type BenchOptions, type Measured, median, type Row, row } from '../result.ts'
import type { Spent, Work } from './cpu-profile.ts'
import { startOurs } from './ours.ts'
import type { FromProfiled, ToProfiled } from './profiled.ts'
import { awaitMessage } from './run.ts'
import { burst, SHAPES } from './sync.ts'

/**
 * What the two nodes of `bench sync` do with their main threads while it runs: how much of it is sealing, padding and
 * signing. The shapes are those of `bench sync`, without a rival.
 */

const BAR_PERCENT = 35
const COUNTED: readonly Work[] = ['sealing', 'padding', 'signing']
const OTHERS: readonly Work[] = ['opening', 'verifying', 'hashing']
/** Functions that are named, of each node. */
const NAMED_MAX = 8

export async function benchSyncProfile({ runs, only, progress }: BenchOptions): Promise<Measured> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-profile-'))
  const ours = await startOurs(directory, { profiled: true })
  try {
    const rows: Row[] = []
    let run = 0
    for (const shape of SHAPES.filter(({ id }) => only === undefined || only === id)) {
      const spent: { home: Spent; office: Spent }[] = []
      for (let i = 0; i < runs; i++) {
        progress(`${shape.id}: run ${i + 1} of ${runs}`)
        spent.push(
          await ours.withHosts(async (hosts) => {
            await Promise.all(hosts.map((host) => tell(host, true, (said) => said.type === 'profiling' || undefined)))
            await burst(ours, shape.writers, shape, ++run)
            const [home, office] = await Promise.all(
              hosts.map((host) => tell(host, false, (said) => (said.type === 'profiled' ? said.spent : undefined))),
            )
            if (home === undefined || office === undefined) throw new Error('a profile is missing')
            return { home, office }
          }),
        )
      }
      rows.push(...rowsOf(shape.id, spent))
    }
    return { rows, notes: NOTES }
  } finally {
    await ours.close()
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

function tell<T>(host: ChildProcess, on: boolean, pick: (said: FromProfiled) => T | undefined): Promise<T> {
  const answered = awaitMessage(host, pick)
  host.send({ type: 'profile', on } satisfies ToProfiled)
  return answered
}

function rowsOf(id: string, runs: readonly { home: Spent; office: Spent }[]): Row[] {
  const percent = (works: readonly Work[], of: (run: { home: Spent; office: Spent }) => readonly Spent[]): number =>
    median(
      runs.map((run) => {
        const spent = of(run)
        const busy = spent.reduce((sum, { busyUs }) => sum + busyUs, 0)
        return (
          (100 * spent.reduce((sum, { byWork }) => sum + works.reduce((all, work) => all + byWork[work], 0), 0)) / busy
        )
      }),
    )
  const both = ({ home, office }: { home: Spent; office: Spent }) => [home, office]
  const figure = { rival: null, unit: '%', bar: null, ok: null }
  const counted = percent(COUNTED, both)
  const bar = `<= ${BAR_PERCENT} %`
  const rows: Row[] = [
    row({ id: `${id}: sealing, padding and signing`, ...figure, ours: counted, bar, ok: counted <= BAR_PERCENT }),
    row({ id: `${id}: at home`, ...figure, ours: percent(COUNTED, ({ home }) => [home]) }),
    row({ id: `${id}: at the office`, ...figure, ours: percent(COUNTED, ({ office }) => [office]) }),
  ]
  for (const work of [...COUNTED, ...OTHERS])
    rows.push(row({ id: `${id}: ${work}`, ...figure, ours: percent([work], both) }))
  const last = runs.at(-1)
  for (const where of ['home', 'office'] as const)
    for (const { name, us } of last?.[where].functions.slice(0, NAMED_MAX) ?? [])
      rows.push(row({ id: `${id}: ${where}, ${name}`, ...figure, ours: (100 * us) / (last?.[where].busyUs ?? 1) }))
  return rows
}

const NOTES = [
  'Shares of the time in which the main threads of the two nodes were busy, from the CPU profiler of V8, warm-up included. What is written to disk and compressed on other threads is in neither part.',
  'Native and WebAssembly code counts as its caller in @sealmesh/sodium; a hash as what it is made for, and else as hashing.',
  'Functions are of the last run, with what they call outside of JavaScript.',
]

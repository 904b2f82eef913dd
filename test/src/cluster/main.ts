import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { loadSodium } from '@sealmesh/sodium/load'
import { admittedMesh, type Fault, FAULTS, runTrial, TrialCluster, type TrialResult } from './trials.ts'

/** `pnpm cluster-trials --rounds N --json FILE`: every fault at every place, N times; one line each. */

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '1' }, fault: { type: 'string' }, json: { type: 'string' } },
})
const cluster = await TrialCluster.start()
const results: TrialResult[] = []
try {
  const mesh = await admittedMesh(cluster, await loadSodium())
  for (let round = 0; round < Number(values.rounds); round++)
    for (const fault of values.fault === undefined ? FAULTS : [values.fault as Fault])
      for (let at = 0; at < 3; at++) {
        const result = await runTrial(cluster, mesh, fault, at)
        results.push(result)
        process.stdout.write(`${JSON.stringify(result)}\n`)
      }
} finally {
  await cluster.stop()
}
const total = (of: (result: TrialResult) => number): number => results.reduce((sum, result) => sum + of(result), 0)
const recovered = results.map(({ recoveredMs }) => recoveredMs).sort((a, b) => a - b)
const totals = {
  trials: results.length,
  stored: total(({ stored }) => stored),
  delivered: total(({ delivered }) => delivered),
  missing: total(({ missing }) => missing),
  late: total(({ late }) => late),
  repeats: total(({ repeats }) => repeats),
  recoveredMsMedian: recovered[Math.floor(recovered.length / 2)] ?? 0,
  recoveredMsMax: recovered.at(-1) ?? 0,
}
process.stdout.write(`${JSON.stringify(totals)}\n`)
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ totals, results }, null, 2)}\n`)
if (totals.missing > 0 || totals.late > 0) process.exitCode = 1

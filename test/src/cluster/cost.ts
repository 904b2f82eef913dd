import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { loadSodium } from '@sealmesh/sodium/load'
import { capacityRows } from './cost-capacity.ts'
import { type Cost, CostLanes, type Load, LOADS, type Way, WAYS } from './cost-lanes.ts'
import { admittedMesh, TrialCluster } from './trials.ts'

/**
 * `pnpm cluster-cost --json FILE`: what a message costs across relays, as a ratio to what it costs within one, at the
 * same load; then what the capacity page of docs/relay/cluster.md calculates with (left away by `--lanes`). Each lane
 * runs once in every round, and the median counts. Exits with 1 where a ratio of relays' processor time is over its bar.
 */

const RATIO_MAX = 4
/** A lane that carried less than this of what was offered does not say what that load costs. */
const CARRIED_MIN = 0.97

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    lanes: { type: 'boolean', default: false },
  },
})
const cluster = await TrialCluster.start({ wired: false })
const costs: Cost[] = []
let capacity: Awaited<ReturnType<typeof capacityRows>> = []
try {
  const mesh = await admittedMesh(cluster, await loadSodium())
  const lanes = new CostLanes(cluster, mesh)
  // A compiler's work is nobody's message.
  for (const way of WAYS) await lanes.run(way, { bytes: 1_024, perSecond: null })
  for (let round = 0; round < Number(values.rounds); round++)
    for (const load of LOADS)
      for (const way of WAYS) {
        const cost = await lanes.run(way, load)
        costs.push(cost)
        process.stdout.write(`${JSON.stringify(cost)}\n`)
      }
  if (!values.lanes) capacity = await capacityRows(cluster, mesh)
} finally {
  await cluster.stop()
}

const ratios = LOADS.flatMap((load) => {
  const within = medianOf('within one relay', load)
  return WAYS.slice(1).map(({ name: way }) => {
    const across = medianOf(way, load)
    const ratio = round(across.relays / within.relays)
    const withNats = round((across.relays + across.nats) / (within.relays + within.nats))
    const isWhole =
      load.perSecond === null || Math.min(across.perSecond, within.perSecond) >= CARRIED_MIN * load.perSecond
    // In a closed loop the two do not carry the same: it is shown, and no bar.
    const bar = load.perSecond === null ? null : RATIO_MAX
    return { way, ...load, within, across, ratio, withNats, bar, met: bar === null ? null : isWhole && ratio <= bar }
  })
})
for (const row of [...ratios, ...capacity]) process.stdout.write(`${JSON.stringify(row)}\n`)
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ name: 'cluster-cost', ratios, capacity, runs: costs }, null, 2)}\n`)
if (ratios.some(({ met }) => met === false)) process.exitCode = 1

function medianOf(way: Way, load: Load): Pick<Cost, 'perSecond' | 'relays' | 'nats'> {
  const runs = costs.filter((cost) => cost.way === way && cost.bytes === load.bytes && cost.offered === load.perSecond)
  return {
    perSecond: median(runs.map(({ perSecond }) => perSecond)),
    relays: median(runs.map(({ relays }) => relays)),
    nats: median(runs.map(({ nats }) => nats)),
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

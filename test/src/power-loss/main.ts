import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { parseArgs } from 'node:util'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { mustSkipPowerCuts } from '../power-cut/power.ts'
import { REPOSITORY } from '../processes/program.ts'
import { nodeCuts, relayedCuts, unsyncedNodeCuts } from './node-cuts.ts'
import { relayCuts, unsyncedRelayCuts } from './relay-cuts.ts'
import { Tally } from './tally.ts'

/**
 * `pnpm power-loss [--cuts N] [--writes N] [--seed S] [--json FILE]`: cuts the power under a node and under a relay, N
 * times each, and says in its last line how much was acknowledged and how much of it was lost. Fails if anything was,
 * and if the same programs lose nothing when they do not sync: then the cuts show nothing.
 */
const { values } = parseArgs({
  options: {
    cuts: { type: 'string', default: '100' },
    writes: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    json: { type: 'string' },
  },
})
const [cuts, writes, seed] = [Number(values.cuts), Number(values.writes), Number(values.seed)]
if (![cuts, writes, seed].every(Number.isSafeInteger) || cuts < 1 || writes < 1) {
  process.stderr.write('usage: pnpm power-loss [--cuts N] [--writes N] [--seed S] [--json FILE]\n')
  process.exit(2)
}
if (mustSkipPowerCuts()) process.exit(1)

/** Some of them hit a relay that keeps writes for a node that is off; each takes three starts. */
const RELAYED_PART = 0.1
const UNSYNCED_CUTS = 5

const dice = seededDice(seed)
const progress = (line: string): void => void process.stderr.write(`${line}\n`)
const common = { writes, dice, progress }
const begunMs = performance.now()
const relayed = Math.max(1, Math.round(cuts * RELAYED_PART))
const node = await nodeCuts({ ...common, cuts })
const relay = await relayCuts({ ...common, cuts: Math.max(1, cuts - relayed) })
relay.add(await relayedCuts({ ...common, cuts: relayed }))
const unsyncedNode = await unsyncedNodeCuts({ ...common, cuts: UNSYNCED_CUTS })
const unsyncedRelay = await unsyncedRelayCuts({ ...common, cuts: UNSYNCED_CUTS })
const seconds = Math.round((performance.now() - begunMs) / 1_000)

const both = new Tally()
both.add(node)
both.add(relay)
for (const line of both.broken.slice(0, 50)) process.stdout.write(`${line}\n`)
const kinds = [...both.acknowledged].map(([kind, count]) => `${count} ${kind}`).join(', ')
const showsLoss = unsyncedNode.broken.length > 0 && unsyncedRelay.broken.length > 0

if (values.json !== undefined) {
  const row = (
    id: string,
    ours: number,
    rival: number | null,
    unit: string,
    bar: string | null,
    ok: boolean | null,
  ) => ({
    ...{ id, ours, rival, unit, ratio: null, bar, ok },
  })
  const count = (tally: Tally, kind: string): number => tally.acknowledged.get(kind) ?? 0
  const result = {
    name: 'power-loss',
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: REPOSITORY, encoding: 'utf8' }).trim(),
    node: process.version,
    rows: [
      row('cuts of a node', node.cuts, unsyncedNode.cuts, 'cuts', 'at least 100', node.cuts >= 100),
      row('cuts of a relay', relay.cuts, unsyncedRelay.cuts, 'cuts', 'at least 100', relay.cuts >= 100),
      row(
        'acknowledged',
        both.total,
        unsyncedNode.total + unsyncedRelay.total,
        'writes',
        'at least 100,000',
        both.total >= 100_000,
      ),
      row(
        'lost by a node',
        node.lost.length,
        unsyncedNode.lost.length,
        'writes',
        'none; without sync some',
        node.lost.length === 0 && unsyncedNode.lost.length > 0,
      ),
      row(
        'lost by a relay',
        relay.lost.length,
        unsyncedRelay.lost.length,
        'writes',
        'none; without sync some',
        relay.lost.length === 0 && unsyncedRelay.lost.length > 0,
      ),
      row(
        'torn',
        both.torn.length,
        unsyncedNode.torn.length + unsyncedRelay.torn.length,
        'writes',
        'none',
        both.torn.length === 0,
      ),
      ...[...node.acknowledged.keys()].map((kind) =>
        row(`acknowledged by a node: ${kind}`, count(node, kind), null, 'writes', null, null),
      ),
      ...[...relay.acknowledged.keys()].map((kind) =>
        row(`acknowledged by a relay: ${kind}`, count(relay, kind), null, 'writes', null, null),
      ),
      row('took', seconds, null, 's', null, null),
      row('seed', seed, null, '', null, null),
    ],
  }
  fs.writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`)
}
process.stdout.write(
  `${node.cuts} cuts of a node, ${relay.cuts} of a relay: ${both.total} acknowledged (${kinds}), ${both.lost.length} lost, ${both.torn.length} torn; without sync ${unsyncedNode.broken.length} of ${unsyncedNode.total} and ${unsyncedRelay.broken.length} of ${unsyncedRelay.total} lost; seed ${seed}, ${seconds} s\n`,
)
process.exitCode = both.broken.length > 0 || !showsLoss ? 1 : 0

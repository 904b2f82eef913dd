import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { runAgents } from './run.ts'
import { shortcomings } from './verdict.ts'

/**
 * `pnpm agents-run --minutes 10 --agents 100 --json FILE`: agents of two machines talk, work and vote while one machine is
 * killed; prints what came of it, with the trace of a task and of a vote. Exits with 1 where something fell short.
 */
const { values } = parseArgs({
  args: process.argv.slice(2).filter((word) => word !== '--'),
  options: {
    minutes: { type: 'string', default: '10' },
    agents: { type: 'string', default: '100' },
    json: { type: 'string' },
    every: { type: 'string', default: '250' },
  },
})
const [minutes, agents, everyMs] = [Number(values.minutes), Number(values.agents), Number(values.every)]
if (!(minutes > 0 && agents >= 4 && everyMs > 0)) {
  process.stderr.write('usage: pnpm agents-run [--minutes N] [--agents N, at least 4] [--every MS] [--json FILE]\n')
  process.exit(2)
}
// Before it: ten minutes later it may be another one.
const commit = execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).trim()
const startedMs = performance.now()
const progress = (line: string): void => {
  process.stderr.write(`[${((performance.now() - startedMs) / 1_000).toFixed(1)} s] ${line}\n`)
}
const figures = await runAgents({ agents, runMs: minutes * 60_000, everyMs, progress })
const short = shortcomings(figures)
const { traces, ...rest } = figures
process.stdout.write(`${JSON.stringify(rest, null, 2)}\n`)
for (const [what, lines] of Object.entries(traces)) process.stdout.write(`\nthe last ${what}:\n${lines.join('\n')}\n`)
process.stdout.write(short.length === 0 ? '\nagents-run: ok\n' : `\nagents-run: short\n${short.join('\n')}\n`)
if (values.json !== undefined) {
  const result = { name: 'agents-run', commit, node: process.version, minutes, short, ...figures }
  writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`)
}
process.exitCode = short.length === 0 ? 0 : 1

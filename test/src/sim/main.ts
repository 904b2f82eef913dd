import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { runSeeds } from './jobs.ts'
import { mutantNamed, MUTANTS } from './mutants.ts'
import { addedUp, totalsLine, totalsReport } from './totals.ts'
import { TraceHash } from './trace-hash.ts'

/**
 * `pnpm sim --seeds N [--from S] [--jobs N] [--json FILE] [--mutant NAME] [--list-mutants] [--real-crypto] [--twice]`:
 * prints what failed, with the command that repeats it, and one line of totals; fails if anything did. `--until-found`
 * stops at the first that does; `--twice` runs each seed once more, and fails if that goes another way; `--world-of
 * MUTANT` has every rule in place, in the world that was made for that mutant.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '1' },
    json: { type: 'string' },
    mutant: { type: 'string' },
    'world-of': { type: 'string' },
    'list-mutants': { type: 'boolean', default: false },
    'real-crypto': { type: 'boolean', default: false },
    'until-found': { type: 'boolean', default: false },
    twice: { type: 'boolean', default: false },
  },
})

const JOBS_MAX = 64

function usage(text: string): never {
  process.stderr.write(
    `${text}\nusage: pnpm sim --seeds N [--from S] [--jobs N] [--json FILE] [--mutant NAME] [--list-mutants] [--real-crypto] [--twice]\n`,
  )
  process.exit(2)
}

async function run(count: number, from: number, jobs: number): Promise<void> {
  const mutant = values.mutant ?? null
  const worldOf = values['world-of'] ?? null
  const share = { from, count, mutant, worldOf, realCrypto: values['real-crypto'], twice: values.twice }
  const { results, cpuMs, broken } = await runSeeds(share, jobs, ({ seed, violations }) => {
    if (violations.length === 0) return true
    const again = `pnpm sim --seeds 1 --from ${seed}${mutant === null ? '' : ` --mutant ${mutant}`}`
    process.stdout.write(`seed ${seed}: ${violations.join('; ')} (again: ${again})\n`)
    return !values['until-found']
  })
  for (const line of broken) process.stdout.write(`${line}\n`)
  const trace = new TraceHash()
  for (const result of results) trace.add(result.trace, 0)
  const failed = results.filter(({ violations }) => violations.length > 0).length + broken.length
  const crypto = values['real-crypto'] ? 'real' : 'fast-crypto-double'
  const said = { seeds: results.length, from, failed, mutant: mutant ?? 'none', crypto, trace: trace.digest, cpuMs }
  const totals = addedUp(results.map((each) => each.totals))
  if (values.json !== undefined)
    await writeFile(values.json, `${JSON.stringify(totalsReport(said, totals, values.twice), null, 2)}\n`)
  process.stdout.write(`${totalsLine(said, totals)}\n`)
  process.exitCode = failed > 0 ? 1 : 0
}

const isCount = (count: number, least: number): boolean => Number.isSafeInteger(count) && count >= least

const [count, from, jobs] = [Number(values.seeds), Number(values.from), Number(values.jobs)]
if (values['list-mutants']) for (const { name, rule } of MUTANTS) process.stdout.write(`${name}: ${rule}\n`)
else if (!isCount(count, 1) || !isCount(from, 0)) usage('no such seeds')
else if (!isCount(jobs, 1) || jobs > JOBS_MAX) usage('no such number of jobs')
else if ([values.mutant, values['world-of']].some((name) => name !== undefined && mutantNamed(name) === undefined))
  usage('no such mutant')
else await run(count, from, jobs)

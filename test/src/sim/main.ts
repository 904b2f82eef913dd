import { parseArgs } from 'node:util'
import { mutate } from './mutate.ts'
import type { Mutant } from './mutant.ts'
import { mutantNamed, MUTANTS } from './mutants.ts'
import { emptyTotals, type Totals, totalsLine } from './totals.ts'
import { TraceHash } from './trace-hash.ts'

/**
 * `pnpm sim --seeds N [--from S] [--mutant NAME] [--list-mutants] [--real-crypto] [--twice]`: prints what failed, with the command
 * that repeats it, and one line of totals; fails if anything did. `--until-found` stops at the first that does;
 * `--twice` runs each seed once more, and fails if that goes another way.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    mutant: { type: 'string' },
    'list-mutants': { type: 'boolean', default: false },
    'real-crypto': { type: 'boolean', default: false },
    'until-found': { type: 'boolean', default: false },
    twice: { type: 'boolean', default: false },
  },
})

function usage(text: string): never {
  process.stderr.write(
    `${text}\nusage: pnpm sim --seeds N [--from S] [--mutant NAME] [--list-mutants] [--real-crypto] [--twice]\n`,
  )
  process.exit(2)
}

async function run(mutant: Mutant | undefined, count: number, from: number): Promise<void> {
  if (mutant !== undefined) mutate(mutant)
  // Only now: what they import is what a mutant has changed.
  const { loadSodium } = await import('@sealmesh/sodium/load')
  const { fastCryptoDouble } = await import('./fast-crypto-double.ts')
  const { runSeed } = await import('./world.ts')
  const real = await loadSodium()
  const sodium = values['real-crypto'] ? real : fastCryptoDouble(real)
  const totals: Totals = emptyTotals()
  const trace = new TraceHash()
  let [seeds, failed] = [0, 0]
  for (let seed = from; seed < from + count; seed++) {
    const result = await runSeed(seed, sodium, mutant?.world)
    seeds += 1
    for (const key of Object.keys(totals) as (keyof Totals)[]) totals[key] += result.totals[key]
    trace.add(result.trace, 0)
    const violations = [...result.violations]
    if (values.twice && (await runSeed(seed, sodium, mutant?.world)).trace !== result.trace)
      violations.push('it goes another way the second time')
    if (violations.length === 0) continue
    failed += 1
    const again = `pnpm sim --seeds 1 --from ${seed}${mutant === undefined ? '' : ` --mutant ${mutant.name}`}`
    process.stdout.write(`seed ${seed}: ${violations.join('; ')} (again: ${again})\n`)
    if (values['until-found']) break
  }
  const crypto = values['real-crypto'] ? 'real' : 'fast-crypto-double'
  const said = { seeds, from, failed, mutant: mutant?.name ?? 'none', crypto, trace: trace.digest }
  process.stdout.write(`${totalsLine(said, totals)}\n`)
  process.exitCode = failed > 0 ? 1 : 0
}

const [count, from] = [Number(values.seeds), Number(values.from)]
const mutant = values.mutant === undefined ? undefined : mutantNamed(values.mutant)
if (values['list-mutants']) for (const { name, rule } of MUTANTS) process.stdout.write(`${name}: ${rule}\n`)
else if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(from) || from < 0) usage('no such seeds')
else if (values.mutant !== undefined && mutant === undefined) usage(`no mutant is called ${values.mutant}`)
else await run(mutant, count, from)

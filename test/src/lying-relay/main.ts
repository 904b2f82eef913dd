import { parseArgs } from 'node:util'
import { loadSodium } from '@sealmesh/sodium/load'
import { runSeed } from './run.ts'

/** `pnpm lying-relay --seeds N [--from S]`: prints what failed and one line of totals, and fails if anything did. */
const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '100' }, from: { type: 'string', default: '1' } },
})
const [count, from] = [Number(values.seeds), Number(values.from)]
if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(from) || from < 0) {
  process.stderr.write('usage: pnpm lying-relay --seeds N [--from S]\n')
  process.exit(2)
}

const sodium = await loadSodium()
const totals = { failed: 0, honest: 0, lies: 0, writes: 0, withheld: 0, due: 0, forks: 0 }
for (let seed = from; seed < from + count; seed++) {
  const { violations, honest, lies, writes, withheld, due, forks } = await runSeed(seed, sodium)
  totals.honest += honest ? 1 : 0
  totals.lies += lies
  totals.writes += writes
  totals.withheld += withheld
  totals.due += due
  totals.forks += forks
  if (violations.length === 0) continue
  totals.failed += 1
  process.stdout.write(`seed ${seed}: ${violations.join('; ')}\n`)
}
process.stdout.write(
  `${count} seeds from ${from}: ${totals.failed} failed; ${totals.honest} honest, ${totals.lies} lies, ${totals.writes} writes, ${totals.withheld} found withheld (${totals.due} heartbeats had to show it), ${totals.forks} forks proved\n`,
)
process.exitCode = totals.failed > 0 ? 1 : 0

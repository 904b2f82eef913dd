import { pairsOf, ratioOf } from './latency.ts'

/** `pnpm drill-latency [PAIRS] [WINDOW_MS]`: exit code 1 when drills slow the median write by more than a quarter. */
const BAR = 1.25
const [pairs = 40, windowMs = 750] = process.argv.slice(2).map(Number)
const measured = await pairsOf(pairs, windowMs)
for (const { withoutMs, duringMs, drills } of measured)
  process.stdout.write(
    `${withoutMs.toFixed(3)} ms without, ${duringMs.toFixed(3)} ms during ${drills} drills: ${(duringMs / withoutMs).toFixed(2)}\n`,
  )
const ratio = ratioOf(measured)
process.stdout.write(
  `median of ${measured.length} pairs: ${ratio.toFixed(3)}, at most ${BAR}: ${ratio <= BAR ? 'ok' : 'TOO SLOW'}\n`,
)
process.exitCode = ratio <= BAR ? 0 : 1

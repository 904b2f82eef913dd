/** What happened in a run, or in many. */
export interface Totals {
  simulatedMs: number
  writes: number
  local: number
  relayed: number
  replicated: number
  crashes: number
  partitions: number
  pauses: number
  rollbacks: number
  clones: number
  stops: number
  relayCrashes: number
  takeovers: number
  byRegister: number
  handovers: number
  acts: number
  witnessed: number
  overlaps: number
  violations: number
}

const emptyTotals = (): Totals => ({
  simulatedMs: 0,
  writes: 0,
  local: 0,
  relayed: 0,
  replicated: 0,
  crashes: 0,
  partitions: 0,
  pauses: 0,
  rollbacks: 0,
  clones: 0,
  stops: 0,
  relayCrashes: 0,
  takeovers: 0,
  byRegister: 0,
  handovers: 0,
  acts: 0,
  witnessed: 0,
  overlaps: 0,
  violations: 0,
})

export function addedUp(all: readonly Totals[]): Totals {
  const sum = emptyTotals()
  for (const each of all) for (const key of Object.keys(sum) as (keyof Totals)[]) sum[key] += each[key]
  return sum
}

export interface Said {
  readonly seeds: number
  readonly from: number
  readonly failed: number
  readonly mutant: string
  readonly crypto: string
  readonly trace: string
  /** Of the processes that ran the seeds, after they had started. */
  readonly cpuMs: number
}

const HOUR_MS = 3_600_000

/** The last line of a run. `local` counts every write that was answered, the other levels those that came that far. */
export function totalsLine({ seeds, from, failed, mutant, crypto, trace }: Said, totals: Totals): string {
  const { simulatedMs, local, relayed, replicated, violations, overlaps, ...counts } = totals
  const said = Object.entries(counts).map(([name, count]) => `${count} ${IN_WORDS[name] ?? name}`)
  return [
    `${seeds} seeds from ${from}: ${failed} failed`,
    `${violations} violations`,
    `${(simulatedMs / HOUR_MS).toFixed(1)} simulated hours`,
    `acknowledged ${local} local, ${relayed} relayed, ${replicated} replicated`,
    ...said,
    `${overlaps} acts of unwitnessed terms that were over`,
    `mutant ${mutant}`,
    `crypto ${crypto}`,
    `trace ${trace}`,
  ].join(', ')
}

/** The same for machines: what of it does not depend on the machine, and what it cost there. */
export function totalsReport({ cpuMs, ...said }: Said, totals: Totals, twice: boolean): object {
  const { simulatedMs, local, relayed, replicated, violations, ...counts } = totals
  return {
    ...said,
    simulatedHours: Number((simulatedMs / HOUR_MS).toFixed(1)),
    acknowledged: { local, relayed, replicated },
    violations,
    counts,
    cpuSecondsPerSeed: Number((cpuMs / 1_000 / said.seeds / (twice ? 2 : 1)).toFixed(3)),
  }
}

const IN_WORDS: Readonly<Record<string, string>> = {
  relayCrashes: 'relay crashes',
  takeovers: 'new terms',
  byRegister: 'of them by registers',
  witnessed: 'of them witnessed',
}

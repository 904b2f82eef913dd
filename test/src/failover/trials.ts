import { mkdirSync, writeFileSync } from 'node:fs'
import * as os from 'node:os'
import { handoverTrials, killTrial, manualTrial, stopTrial, type Trial } from './trials-of.ts'

/**
 * `pnpm failover-trials [N]`: real processes, a real relay, a real disk. N of each kind (30); figures on stdout and in
 * bench/results/failover.json; exit code 1 where a bound is not kept.
 */

interface Kind {
  readonly name: string
  /** From the event to the first act elsewhere. */
  readonly withinMs: number
  readonly run: (count: number) => Promise<Trial[]>
}

const LOST_MS_MAX = 250
/** At some three hundred writes a second sixty kills see a hundred thousand. */
const WRITING_MS = 6_000
const HANDOVERS_AT_ONCE = 30

const KINDS: readonly Kind[] = [
  {
    name: 'kill-fast',
    withinMs: 9_000,
    run: (count) => each(count, (at) => killTrial(`kill-fast-${at}`, 'fast', WRITING_MS)),
  },
  {
    name: 'kill-default',
    withinMs: 20_000,
    run: (count) => each(count, (at) => killTrial(`kill-default-${at}`, 'default', WRITING_MS)),
  },
  { name: 'manual', withinMs: 2_000, run: (count) => each(count, (at) => manualTrial(`manual-${at}`)) },
  {
    name: 'handover',
    withinMs: 1_000,
    run: async (count) => {
      const trials: Trial[] = []
      while (trials.length < count)
        trials.push(
          ...(await handoverTrials('handover', Math.min(HANDOVERS_AT_ONCE, count - trials.length), 'default')),
        )
      return trials
    },
  },
  { name: 'stop', withinMs: 9_000, run: (count) => each(count, (at) => stopTrial(`stop-${at}`, 'fast')) },
]

async function each(count: number, trial: (at: number) => Promise<Trial>): Promise<Trial[]> {
  const trials: Trial[] = []
  for (let at = 1; at <= count; at++) trials.push(await trial(at))
  return trials
}

async function main(): Promise<void> {
  const [, , given, only] = process.argv
  const count = Number(given ?? 30)
  const results: Record<string, unknown> = {}
  let ok = true
  for (const { name, withinMs, run } of KINDS) {
    if (only !== undefined && name !== only) continue
    const trials = await run(count)
    const times = trials.map(({ ms }) => Math.round(ms)).toSorted((a, b) => a - b)
    const sum = (of: (trial: Trial) => number): number => trials.reduce((total, trial) => total + of(trial), 0)
    const row = {
      trials: trials.length,
      withinMs,
      p50Ms: times[times.length >> 1] ?? 0,
      maxMs: times.at(-1) ?? 0,
      writes: sum(({ writes }) => writes),
      lostLocal: sum(({ lost }) => lost),
      lostLocalMsMax: Math.round(Math.max(0, ...trials.map(({ lostMs }) => lostMs))),
      relayed: sum(({ relayed }) => relayed),
      replicated: sum(({ replicated }) => replicated),
      lostRelayed: sum(({ lostRelayed }) => lostRelayed),
      lostReplicated: sum(({ lostReplicated }) => lostReplicated),
    }
    const kept =
      row.maxMs <= withinMs && row.lostLocalMsMax <= LOST_MS_MAX && row.lostRelayed + row.lostReplicated === 0
    ok &&= kept
    results[name] = { ...row, kept, times }
    process.stdout.write(`${name}: ${JSON.stringify({ ...row, kept })}\n`)
  }
  const file = new URL('../../../bench/results/failover.json', import.meta.url)
  mkdirSync(new URL('.', file), { recursive: true })
  const about = { command: `pnpm failover-trials ${count}`, node: process.version, cores: os.cpus().length }
  if (only === undefined) writeFileSync(file, `${JSON.stringify({ ...about, results }, null, 1)}\n`)
  process.stdout.write(`failover trials: ${ok ? 'ok' : 'a bound was not kept'}\n`)
  process.exitCode = ok ? 0 : 1
}

await main()

import { execFile } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

/** How many seeds all slices have together; the same ones in every run. */
const SEEDS = Number(process.env['SEALMESH_SIM_SEEDS'] ?? 1_000)
/** Seeds that no run has had before, for each slice: for whoever hunts, so that the same tests pass every time. */
const FRESH = Number(process.env['SEALMESH_SIM_FRESH'] ?? 0)
const FRESH_FROM = 1_000_000
const SLICES = 4
/** Of what takes two minutes where nobody else wants the core. */
const TIMEOUT_MS = 1_200_000
/** Seeds that are known to fail: each goes with the change that mends it. */
const OPEN: readonly number[] = []
const MAIN = fileURLToPath(new URL('../../dist/sim/main.js', import.meta.url))

/** Prints what failed, and how to repeat it. */
export function simulated(...args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (_, stdout, stderr) => resolve(stdout + stderr))
  })
}

/** One of the files between which the seeds are divided, so that every core has its share. */
export function slice(number: 0 | 1 | 2 | 3): void {
  const count = Math.ceil(SEEDS / SLICES)
  const fixed = 1 + number * count
  const fresh: readonly [number, number, readonly number[]][] =
    FRESH === 0 ? [] : [[FRESH, randomInt(FRESH_FROM, 2 ** 40), []]]
  const failing = OPEN.filter((seed) => seed >= fixed && seed < fixed + count)
  test.each<readonly [number, number, readonly number[]]>([[count, fixed, failing], ...fresh])(
    'nothing that was promised is lost, and one node acts at a time, in %i seeds from %i on',
    async (seeds, from, known) => {
      const said = await simulated('--seeds', `${seeds}`, '--from', `${from}`)
      expect(failedIn(said), said).toEqual(known)
      expect(said).toContain(`${seeds} seeds from ${from}: ${known.length} failed`)
    },
    TIMEOUT_MS,
  )
}

const failedIn = (said: string): number[] => [...said.matchAll(/^seed (\d+): /gm)].map(([, seed]) => Number(seed))

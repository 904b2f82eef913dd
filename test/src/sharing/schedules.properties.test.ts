import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import { judgeWith } from '@sealmesh/protocol/membership/judge'
import { describe, expect, test } from 'vitest'
import { type Findings, runSchedule, wrongIn } from './schedule.ts'
import { type Checks, REAL } from './simulation.ts'

/**
 * Grants are enforced at both ends, whatever the order in which grants, revocations, changes of hosts, writes and
 * packets come. SEALMESH_SCHEDULES=10000 makes the whole run (`pnpm test:sharing`); SEALMESH_SCHEDULES_FROM its first
 * seed. A failing seed is printed, and repeats alone.
 */
const RUNS = Number(process.env['SEALMESH_SCHEDULES'] ?? 150)
const FIRST = Number(process.env['SEALMESH_SCHEDULES_FROM'] ?? 0)
const MS_EACH = 1_000

test(
  `${RUNS} schedules: no block reaches a node without a grant, none from a writer without one is applied`,
  () => {
    const did = { sent: 0, ended: 0, void: 0, equal: 0, drawn: 0 }
    for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
      const findings = runSchedule(seed)
      expect(wrongIn(findings), `seed ${seed}`).toEqual([])
      for (const what of ['sent', 'ended', 'void', 'equal', 'drawn'] as const) did[what] += findings.did[what]
    }
    // It was about something: per run some blocks sent, a grant ended, layers that several may read at the end.
    expect(did.sent).toBeGreaterThan(RUNS * 5)
    expect(did.ended).toBeGreaterThan(RUNS)
    expect(did.void).toBeGreaterThan(RUNS / 4)
    expect(did.equal).toBeGreaterThan(RUNS)
    expect(did.drawn).toBeGreaterThan(RUNS / 2)
  },
  30_000 + RUNS * MS_EACH,
)

test.each([
  [2883, 'two nodes each think that they alone read a layer, and each draws a base'],
  [613, 'a writer that may not read sees a tombstone stand alone'],
])('schedule %d: %s', (seed) => {
  expect(wrongIn(runSchedule(seed))).toEqual([])
})

describe('the same schedules find it out when a check is missing', { timeout: 120_000 }, () => {
  /** The findings of the first run, of a bounded number, that shows what is looked for. */
  function firstWith(checks: Checks, what: (findings: Findings) => readonly string[]): Findings | undefined {
    for (let seed = 0; seed < 300; seed++) {
      const findings = runSchedule(seed, checks)
      if (what(findings).length > 0) return findings
    }
    return undefined
  }
  const unless = (forgive: (reason: string) => boolean) => ({
    ...REAL,
    judge: (mesh: Parameters<typeof judgeWith>[0]): Judge => {
      const real = judgeWith(mesh)
      return (block, covers) => {
        const verdict = real(block, covers)
        return verdict.type === 'void' && forgive(verdict.reason) ? { type: 'fold' } : verdict
      }
    },
  })

  test('a sender that does not ask the log when it seals', () => {
    expect(firstWith({ ...REAL, mayBeSent: () => true }, (found) => found.sentWithoutGrant)).toBeDefined()
  })
  test('a receiver that applies what a writer without a right wrote', () => {
    const checks = unless((reason) => reason === 'NOT_A_WRITER' || reason === 'WRONG_TERM')
    expect(firstWith(checks, (found) => found.appliedWithoutRight)).toBeDefined()
  })
  test('a receiver that applies what lies beyond a cut', () => {
    expect(
      firstWith(
        unless((reason) => reason === 'BEYOND_CUT'),
        (found) => found.appliedWithoutRight,
      ),
    ).toBeDefined()
  })
  test('a receiver that applies what was written in a silence that has lapsed', () => {
    const checks = unless((reason) => reason === 'LAPSED')
    expect(firstWith(checks, (found) => found.appliedWithoutRight)).toBeDefined()
  })
  test('a receiver that keeps out what a cut or a grant lets in', () => {
    const checks = { ...REAL, judge: (): Judge => () => ({ type: 'void', reason: 'NOT_A_WRITER' }) }
    expect(firstWith(checks, (found) => found.leftOutWithRight)).toBeDefined()
  })
})

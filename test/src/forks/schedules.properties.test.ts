import { judgeWith } from '@sealmesh/protocol/membership/judge'
import { readersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { describe, expect, test } from 'vitest'
import { type Checks, type Findings, REAL, runForks, wrongIn } from './forked-mesh.ts'

/**
 * Removal holds, whatever forks there are and in whatever order records and blocks arrive. SEALMESH_FORKS=1000 makes
 * the whole run, SEALMESH_FORKS_FROM its first seed. A failing seed is printed, and repeats alone.
 */
const RUNS = Number(process.env['SEALMESH_FORKS'] ?? 25)
const FIRST = Number(process.env['SEALMESH_FORKS_FROM'] ?? 0)
const MS_EACH = 2_000

test(
  'T-revoked-1: whatever forks, nothing goes to whom a known record removes, and nothing of it beyond the cut counts',
  () => {
    const did = { removed: 0, mutual: 0, refused: 0, sealed: 0, beyond: 0, rebuilt: 0, admitted: 0, checkpoints: 0 }
    for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
      const findings = runForks(seed)
      expect(wrongIn(findings), `seed ${seed}`).toEqual([])
      for (const what of Object.keys(did) as (keyof typeof did)[]) did[what] += findings.did[what]
    }
    if (process.env['SEALMESH_FORKS'] !== undefined) console.log(JSON.stringify(did))
    // It was about something.
    expect(did.removed).toBeGreaterThan(RUNS)
    expect(did.sealed).toBeGreaterThan(RUNS * 5)
    expect(did.refused).toBeGreaterThan(RUNS * 5)
    expect(did.beyond).toBeGreaterThan(RUNS)
    expect(did.rebuilt).toBeGreaterThan(RUNS)
    expect(did.checkpoints).toBeGreaterThan(RUNS)
    expect(did.admitted).toBeGreaterThan(RUNS / 2)
    expect(did.mutual).toBeGreaterThan(RUNS / 20)
  },
  30_000 + RUNS * MS_EACH,
)

describe('the same schedules find it out when a check is missing', { timeout: 120_000 }, () => {
  function firstWith(checks: Checks, what: (findings: Findings) => readonly string[]): number | undefined {
    for (let seed = 0; seed < 60; seed++) if (what(runForks(seed, checks)).length > 0) return seed
    return undefined
  }
  /** A mesh in which a removal that its victim had not heard of does not count. */
  const withoutRemovals = (mesh: Mesh): Mesh => ({
    ...mesh,
    isInPast: (...hashes) => mesh.isInPast(...hashes),
    nodes: new Map([...mesh.nodes].map(([id, node]) => [id, { ...node, revocations: [] }])),
  })

  test('a sender that asks grants, and not removals', () => {
    const checks: Checks = {
      ...REAL,
      mayRead: (mesh, { agent, layer }, node) => readersOf(withoutRemovals(mesh), agent, layer).includes(node),
    }
    expect(firstWith(checks, (found) => found.sealedToRemoved)).toBeDefined()
  })
  test('a sender that seals to whoever has a prekey', () => {
    const checks: Checks = { ...REAL, sealsTo: ({ mesh }, to) => (mesh.nodes.get(to)?.prekeys.length ?? 0) > 0 }
    expect(firstWith(checks, (found) => found.sealedToRemoved)).toBeDefined()
  })
  test('a receiver that judges blocks as if nobody had been removed', () => {
    const checks: Checks = { ...REAL, judge: (mesh) => judgeWith(withoutRemovals(mesh)) }
    expect(firstWith(checks, (found) => found.foldedBeyondCut)).toBeDefined()
  })
  test('receivers that keep what they had judged once', () => {
    const first = new Map<string, ReturnType<ReturnType<typeof judgeWith>>>()
    const checks: Checks = {
      ...REAL,
      judge: (mesh) => {
        const real = judgeWith(mesh)
        return (block, covers) => {
          const verdict = first.get(block.hash) ?? real(block, covers)
          if (verdict.type === 'fold') first.set(block.hash, verdict)
          return verdict
        }
      },
    }
    expect(firstWith(checks, (found) => found.foldedBeyondCut)).toBeDefined()
  })
})

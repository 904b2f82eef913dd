import { readFileSync } from 'node:fs'
import { fromUtf8, utf8 } from '@sealmesh/protocol/bytes'
import { canonicalText } from '@sealmesh/protocol/drills/canonical'
import type { DrillFacts, Moved } from '@sealmesh/protocol/drills/facts'
import { markdownOf } from '@sealmesh/protocol/drills/markdown'
import {
  decodeFiled,
  draftReport,
  earlierOf,
  encodeFiled,
  failedChecks,
  type FiledReport,
  follows,
  hashOfReport,
  signReport,
  verifyReport,
} from '@sealmesh/protocol/drills/report'
import { whereNow } from '@sealmesh/protocol/drills/where-now'
import type { NodeId } from '@sealmesh/protocol/ids'
import { loadSodium } from '@sealmesh/sodium/load'
import { describe, expect, test } from 'vitest'
import { buildVectors } from './drill-vectors.ts'
import { FACTS, filedOf, HOME, keysOf, MOVED_FACTS, NAMES, OFFICE, reportOf, TARGETS } from './sample.ts'

const sodium = await loadSodium('wasm')
const keys = keysOf(sodium)
const keyOf = (node: NodeId) =>
  node === HOME ? keys.home.publicKey : node === OFFICE ? keys.office.publicKey : undefined
const { there, back } = MOVED_FACTS.moved
const iso = (ms: number): string => new Date(ms).toISOString()

test('the golden report is what this code writes and verifies', () => {
  const vectors: unknown = JSON.parse(readFileSync(new URL('../../vectors/drills.json', import.meta.url), 'utf8'))
  expect(buildVectors(sodium)).toEqual(vectors)
})

describe('a green report', () => {
  const bytes = encodeFiled(filedOf(FACTS, sodium))

  test('verifies with public keys alone, and says what it found', () => {
    const verified = verifyReport(bytes, keyOf, sodium)
    expect(verified.ok && verified.value.report.passed).toBe(true)
    expect(verified.ok && failedChecks(verified.value.report)).toEqual([])
  })

  test('does not, with one byte changed, wherever', () => {
    for (let at = 0; at < bytes.length; at += 5) {
      const changed = bytes.slice()
      changed[at]! ^= 1 << (at % 7)
      expect(verifyReport(changed, keyOf, sodium).ok).toBe(false)
    }
  })

  test('has one form: neither spaces nor another order of its fields are taken', () => {
    const text = fromUtf8(bytes)
    expect(decodeFiled(utf8(`${text}\n`)).ok).toBe(false)
    expect(decodeFiled(utf8(text.replace('{', '{ '))).ok).toBe(false)
    const { report, signatures } = JSON.parse(text) as { report: object; signatures: object }
    expect(decodeFiled(utf8(JSON.stringify({ signatures, report }))).ok).toBe(false)
    expect(decodeFiled(bytes.subarray(0, bytes.length - 1)).ok).toBe(false)
    expect(decodeFiled(new Uint8Array()).ok).toBe(false)
  })

  test('is refused under keys of others', () => {
    expect(verifyReport(bytes, () => undefined, sodium)).toMatchObject({ error: { code: 'REPORT_KEY_UNKNOWN' } })
    expect(verifyReport(bytes, () => keys.home.publicKey, sodium)).toMatchObject({
      error: { code: 'REPORT_SIGNATURE', node: OFFICE },
    })
  })
})

/** What each planted fault leaves in the facts, and which check has to see it. */
const FAULTS: readonly { name: string; spoil: (facts: DrillFacts) => DrillFacts; check: string }[] = [
  {
    name: 'missing write',
    spoil: withLayer({ missing: 1, missingAcknowledged: 1, digest: '77'.repeat(32), liveDigest: '77'.repeat(32) }),
    check: 'nothing acknowledged is missing',
  },
  { name: 'flipped bit', spoil: withLayer({ badSignatures: 1 }), check: 'signatures' },
  { name: 'stale snapshot', spoil: withLayer({ digest: '77'.repeat(32) }), check: 'digests' },
  {
    name: 'wrong grant, on disk',
    spoil: (facts) => ({ ...facts, kept: [...facts.kept, 'procedural'] }),
    check: 'layers',
  },
  { name: 'wrong grant, in the log', spoil: (facts) => ({ ...facts, readable: ['semantic'] }), check: 'layers' },
  {
    name: 'nothing that a holder needs is granted',
    spoil: (facts) => ({
      ...facts,
      readable: ['semantic'],
      kept: ['semantic'],
      layers: facts.layers.filter(({ layer }) => layer === 'semantic'),
      point: { ...facts.point, layers: facts.point.layers.filter(({ layer }) => layer === 'semantic') },
    }),
    check: 'layers',
  },
  {
    name: 'lying clock',
    spoil: (facts) => ({ ...facts, clock: { ...facts.clock, endedAtMs: facts.clock.endedAtMs + 3_600_000 } }),
    check: 'clocks',
  },
  {
    name: 'clocks apart',
    spoil: (facts) => ({ ...facts, point: { ...facts.point, atMs: facts.point.atMs - 120_000 } }),
    check: 'clocks',
  },
  {
    name: 'expired prekey',
    spoil: (facts) => ({ ...facts, prekeys: { ...facts.prekeys, standbyUntilMs: null } }),
    check: 'prekeys',
  },
  { name: 'lagging standby', spoil: (facts) => ({ ...facts, reached: false }), check: 'point reached' },
  {
    name: 'forged digest',
    spoil: (facts) => ({
      ...facts,
      point: { ...facts.point, layers: facts.point.layers.map((each) => ({ ...each, digest: '88'.repeat(32) })) },
    }),
    check: 'digests',
  },
  { name: 'diary content', spoil: (facts) => ({ ...facts, diaryContents: 1 }), check: 'diary' },
  { name: 'term moved', spoil: (facts) => ({ ...facts, termAfter: null }), check: 'live state unchanged' },
  {
    name: 'live state changed',
    spoil: withLayer({ liveDigest: '77'.repeat(32) }),
    check: 'live state unchanged',
  },
  {
    name: 'holder lost blocks',
    spoil: (facts) => ({
      ...facts,
      holderAfter: { ...FACTS.holderAfter, layers: FACTS.holderAfter.layers.map((each) => ({ ...each, blocks: 1 })) },
    }),
    check: 'live state unchanged',
  },
  {
    name: 'slowed writers',
    spoil: (facts) => ({
      ...facts,
      holderAfter: { ...FACTS.holderAfter, latency: { ...FACTS.holderAfter.latency, duringUs: 9_000 } },
    }),
    check: 'live writes',
  },
  { name: 'left behind', spoil: (facts) => ({ ...facts, sandboxRemoved: false }), check: 'clean-up' },
  {
    name: 'too slow',
    spoil: (facts) => ({ ...facts, rto: { ...facts.rto, catchUpMs: 6_000 } }),
    check: 'recovery time',
  },
  {
    name: 'too far behind',
    spoil: (facts) => ({ ...facts, point: { ...facts.point, oldestUnacknowledgedMs: 1 } }),
    check: 'recovery point',
  },
]

function withLayer(change: Partial<DrillFacts['layers'][number]>): (facts: DrillFacts) => DrillFacts {
  return (facts) => ({ ...facts, layers: facts.layers.map((each, at) => (at === 0 ? { ...each, ...change } : each)) })
}

describe.each(FAULTS)('$name', ({ spoil, check }) => {
  const filed = filedOf(spoil(FACTS), sodium)

  test('turns the report red, by the check that is for it', () => {
    expect(filed.report.passed).toBe(false)
    expect(failedChecks(filed.report).map(({ name }) => name)).toContain(check)
    expect(markdownOf(filed, hashOfReport(filed.report, sodium), iso)).toContain('FAILED')
  })

  test('cannot be passed off as green by both signers', () => {
    const report = { ...filed.report, passed: true, checks: reportOf(FACTS).checks }
    const signatures = [
      { node: OFFICE, signature: signReport(report, keys.office.secretKey, sodium) },
      { node: HOME, signature: signReport(report, keys.home.secretKey, sodium) },
    ]
    expect(verifyReport(encodeFiled({ report, signatures }), keyOf, sodium)).toMatchObject({
      error: { code: 'REPORT_INCONSISTENT' },
    })
  })
})

test('a point that its holder did not sign is found out, whoever signed the report', () => {
  const { report } = filedOf(FACTS, sodium)
  const facts = { ...report.facts, point: { ...report.facts.point, atMs: report.facts.point.atMs + 1 } }
  const forged = draftReport({ kind: 'shadow', names: NAMES, targets: TARGETS, facts, nextDueMs: null })
  const signatures = [
    { node: OFFICE, signature: signReport(forged, keys.office.secretKey, sodium) },
    { node: HOME, signature: signReport(forged, keys.home.secretKey, sodium) },
  ]
  expect(verifyReport(encodeFiled({ report: forged, signatures }), keyOf, sodium)).toMatchObject({
    error: { code: 'REPORT_SIGNATURE', node: HOME },
  })
})

test('a report follows the one whose hash it carries, and no other', () => {
  const first = reportOf({ ...FACTS, point: { ...FACTS.point, previous: null } })
  const second = reportOf({ ...FACTS, point: { ...FACTS.point, previous: earlierOf(first, sodium) } })
  expect([first.number, second.number]).toEqual([1, 2])
  expect(follows(second, first, sodium)).toBe(true)
  expect(follows(second, second, sodium)).toBe(false)
})

test('few writes, or none, are not compared', () => {
  const latency = { beforeUs: 1, beforeCount: 3, duringUs: 90_000, duringCount: 3 }
  expect(reportOf({ ...FACTS, holderAfter: { ...FACTS.holderAfter, latency } }).passed).toBe(true)
})

test('canonical JSON does not depend on the order in which a value was made', () => {
  expect(canonicalText({ b: [1, { d: null, c: '"\n' }], a: true })).toBe('{"a":true,"b":[1,{"c":"\\"\\n","d":null}]}')
})

test('the page for people names what was absent and what follows', () => {
  const filed = filedOf(FACTS, sodium)
  const page = markdownOf(filed, hashOfReport(filed.report, sodium), iso)
  for (const part of ['Drill 5 of claude: passed', 'procedural, 1 that no grant names', '39 to 40', 'not rehearsed'])
    expect(page).toContain(part)
})

describe('a switchover', () => {
  const of = (facts: DrillFacts) => filedOf(facts, sodium, 'switchover')
  const verify = (filed: FiledReport) => verifyReport(encodeFiled(filed), keyOf, sodium)

  test('is green when the agent is where it was, two terms later', () => {
    const filed = of(MOVED_FACTS)
    expect(failedChecks(filed.report)).toEqual([])
    expect(verify(filed).ok).toBe(true)
    expect(whereNow(filed.report)).toEqual({ said: 'home holds claude, term 5.', next: null })
    const page = markdownOf(filed, hashOfReport(filed.report, sodium), iso)
    for (const part of ['A switchover drill', 'terms 3, 4 and 5', 'And back:', 'Where it is now'])
      expect(page).toContain(part)
  })

  const moved = (change: Partial<Moved>): DrillFacts => ({ ...MOVED_FACTS, moved: { ...MOVED_FACTS.moved, ...change } })
  const RED: readonly (readonly [string, DrillFacts, string])[] = [
    ['stopped', moved({ stopped: 'the line was cut' }), 'right to act'],
    ['did not come here', moved({ there: null }), 'right to act'],
    ['was not recovered', moved({ there: null }), 'recovery time'],
    ['did not come back', moved({ back: null, heldBy: OFFICE }), 'right to act'],
    ['skipped a term', moved({ there: { ...there, term: back.term } }), 'right to act'],
    ['lost a write', moved({ there: { ...there, missing: 1 } }), 'nothing acknowledged is missing'],
    [
      'is another at the new holder',
      moved({ there: { ...there, layers: there.layers.map((each) => ({ ...each, digest: '77'.repeat(32) })) } }),
      'live state unchanged',
    ],
    ['is fenced at home', { ...MOVED_FACTS, holderAfter: { ...MOVED_FACTS.holderAfter, may: false } }, 'right to act'],
    ['ends in another term', { ...MOVED_FACTS, termAfter: there.term }, 'right to act'],
    ['moved nothing', { ...MOVED_FACTS, moved: null }, 'right to act'],
  ]
  test.each(RED)('that %s is red', (_, facts, check) => {
    const { report } = of(facts)
    expect(report.passed).toBe(false)
    expect(failedChecks(report).map(({ name }) => name)).toContain(check)
  })

  test('that left the agent at the standby says so, and what to type', () => {
    const filed = of({ ...moved({ back: null, heldBy: OFFICE, stopped: 'home was cut off' }), termAfter: there.term })
    const page = markdownOf(filed, hashOfReport(filed.report, sodium), iso)
    expect(page).toContain('office holds claude, term 4. **Next: on office: sealmesh handover claude --to home**')
    expect(page).toContain('the standby has it, term 4: home was cut off')
  })

  test('whose holder was not heard again has one signature, and cannot be green', () => {
    const alone = of({ ...MOVED_FACTS, holderAfter: null })
    expect(verify(alone).ok).toBe(true)
    expect(alone.signatures).toHaveLength(1)
    expect(alone.report.passed).toBe(false)
    const whole = of(MOVED_FACTS)
    expect(verify({ ...whole, signatures: whole.signatures.slice(0, 1) })).toMatchObject({
      error: { code: 'REPORT_SIGNATURE', node: HOME },
    })
    expect(verify({ ...alone, signatures: whole.signatures })).toMatchObject({ error: { code: 'REPORT_SIGNATURE' } })
  })

  test('is no shadow drill', () => {
    expect(failedChecks(reportOf(MOVED_FACTS)).map(({ name }) => name)).toContain('right to act')
  })
})

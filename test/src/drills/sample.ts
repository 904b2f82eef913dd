import type { DrillFacts, DrillKind, DrillTargets, HolderAfter } from '@sealmesh/protocol/drills/facts'
import { draftReport, type FiledReport, type Report, signPoint, signReport } from '@sealmesh/protocol/drills/report'
import type { AgentId, MeshId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'

/** A shadow drill in which all went well, to be spoilt one thing at a time. */

export const HOME = '0d'.repeat(32) as NodeId
export const OFFICE = '1d'.repeat(32) as NodeId
const AGENT = 'a9'.repeat(32) as AgentId
const AT_MS = 1_800_000_000_000
const term = { number: 3, record: 'c1'.repeat(32) as RecordHash }
const digest = (byte: string): string => byte.repeat(32)

export const TARGETS: DrillTargets = { rtoMs: 5_000, rpoMs: 1_000, everyMs: 86_400_000 }

export const FACTS: DrillFacts & { readonly holderAfter: HolderAfter } = {
  point: {
    drill: 'd1'.repeat(16),
    mesh: 'e5'.repeat(32) as MeshId,
    agent: AGENT,
    holder: HOME,
    standby: OFFICE,
    term,
    atMs: AT_MS + 40,
    layers: [
      { layer: 'semantic', vector: digest('11'), digest: digest('21'), blocks: 40, unacknowledged: 2 },
      { layer: 'session', vector: digest('12'), digest: digest('22'), blocks: 7, unacknowledged: 0 },
    ],
    unacknowledged: [{ layer: 'semantic', incarnation: '1c'.repeat(16), from: 39, to: 40 }],
    oldestUnacknowledgedMs: AT_MS - 60,
    notGranted: { named: ['procedural'], others: 1 },
    previous: { number: 4, hash: digest('99') },
  },
  pointSignature: '00'.repeat(64),
  reached: true,
  readable: ['semantic', 'session'],
  kept: ['semantic', 'session'],
  layers: [
    {
      layer: 'semantic',
      blocks: 40,
      missing: 0,
      missingAcknowledged: 0,
      badSignatures: 0,
      digest: digest('21'),
      liveDigest: digest('21'),
    },
    {
      layer: 'session',
      blocks: 7,
      missing: 0,
      missingAcknowledged: 0,
      badSignatures: 0,
      digest: digest('22'),
      liveDigest: digest('22'),
    },
  ],
  diaryContents: 0,
  clock: {
    askedAtMs: AT_MS,
    answeredAtMs: AT_MS + 80,
    endedAtMs: AT_MS + 900,
    answeredAfterMs: 80,
    endedAfterMs: 900,
  },
  termBefore: term,
  termAfter: term,
  holderAfter: {
    term,
    may: true,
    gained: null,
    late: 0,
    layers: [
      { layer: 'semantic', blocks: 42, digest: digest('31') },
      { layer: 'session', blocks: 7, digest: digest('22') },
    ],
    latency: { beforeUs: 900, beforeCount: 200, duringUs: 1_000, duringCount: 90 },
  },
  moved: null,
  prekeys: { standbyUntilMs: AT_MS + 1_000_000, holderUntilMs: AT_MS + 2_000_000 },
  rto: {
    freezeMs: null,
    drainMs: null,
    detectMs: null,
    decideMs: null,
    acquireMs: null,
    catchUpMs: 120,
    activateMs: 300,
    firstActMs: 2,
  },
  sandboxRemoved: true,
}

export const NAMES = { agent: 'claude', holder: 'home', standby: 'office' }

const next = (by: number) => ({ number: term.number + by, record: `c${1 + by}`.repeat(32) as RecordHash })
/** The same agent, moved to the standby and back. */
export const MOVED_FACTS = {
  ...FACTS,
  termAfter: next(2),
  holderAfter: {
    ...FACTS.holderAfter,
    term: next(2),
    gained: { catchUpMs: 9, activateMs: 1, firstActMs: 2 },
  },
  moved: {
    there: {
      term: next(1),
      missing: 0,
      layers: FACTS.point.layers.map(({ layer, blocks, digest: same }) => ({ layer, blocks, digest: same })),
    },
    back: {
      term: next(2),
      phases: {
        freezeMs: 0,
        drainMs: 12,
        detectMs: null,
        decideMs: null,
        acquireMs: 40,
        catchUpMs: 9,
        activateMs: 1,
        firstActMs: 2,
      },
    },
    heldBy: HOME,
    stopped: null,
  },
  rto: { ...FACTS.rto, freezeMs: 0, drainMs: 14, acquireMs: 38 },
} satisfies DrillFacts

export const reportOf = (facts: DrillFacts, targets = TARGETS, kind: DrillKind = 'shadow'): Report =>
  draftReport({ kind, names: NAMES, targets, facts, nextDueMs: AT_MS + 86_400_000 })

export const keysOf = (sodium: Sodium) => ({
  home: sodium.signKeys('sign', new Uint8Array(32).fill(1)),
  office: sodium.signKeys('sign', new Uint8Array(32).fill(2)),
})

/** With the holder's signature on the point, and both on the report, unless the holder was not heard again. */
export function filedOf(facts: DrillFacts, sodium: Sodium, kind: DrillKind = 'shadow'): FiledReport {
  const { home, office } = keysOf(sodium)
  const pointSignature = signPoint(facts.point, home.secretKey, sodium)
  const report = reportOf({ ...facts, pointSignature }, TARGETS, kind)
  return {
    report,
    signatures: [
      { node: OFFICE, signature: signReport(report, office.secretKey, sodium) },
      { node: HOME, signature: signReport(report, home.secretKey, sodium) },
    ].slice(0, facts.holderAfter === null ? 1 : 2),
  }
}

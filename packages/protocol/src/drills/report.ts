import { z } from 'zod'
import { equalBytes, fromHex, fromUtf8, toHex } from '../bytes.ts'
import type { NodeId } from '../ids.ts'
import type { Secret, SignPublicKey } from '../keys.ts'
import { err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { canonicalBytes, canonicalText } from './canonical.ts'
import { type Check, CHECKS, checksOf } from './checks.ts'
import {
  Agent,
  Count,
  DRILL_KINDS,
  DrillFacts,
  DrillId,
  type DrillKind,
  DrillTargets,
  type Earlier,
  MeshHash,
  Node,
  type RecoveryPoint,
  Signed,
} from './facts.ts'

/** A report as it is filed: one line of canonical JSON, so that no byte of it can change unnoticed. */

/** 256 layers and 100 runs take a quarter of it. */
const REPORT_BYTES_MAX = 196_608

const Name = z.string().min(1).max(64)

export const Report = z.strictObject({
  version: z.literal(1),
  kind: z.enum(DRILL_KINDS),
  drill: DrillId,
  /** From 1; the one before is `facts.point.previous`. */
  number: Count.min(1),
  mesh: MeshHash,
  agent: z.strictObject({ id: Agent, name: Name }),
  holder: z.strictObject({ id: Node, name: Name }),
  standby: z.strictObject({ id: Node, name: Name }),
  targets: DrillTargets,
  facts: DrillFacts,
  checks: z
    .array(z.strictObject({ name: z.enum(CHECKS), ok: z.boolean(), target: z.string().max(2_000), actual: z.string() }))
    .length(CHECKS.length),
  passed: z.boolean(),
  nextDueMs: Count.nullable(),
})
export type Report = z.infer<typeof Report>

const Filed = z.strictObject({
  report: Report,
  /** The standby's, then the holder's: without it where the holder was not heard again. */
  signatures: z
    .array(z.strictObject({ node: Node, signature: Signed }))
    .min(1)
    .max(2),
})
export type FiledReport = z.infer<typeof Filed>

export type ReportFlaw =
  /** Not the bytes of a report: cut, changed, or written by another version. */
  | { code: 'REPORT_MALFORMED' }
  /** A key that is not among those given. */
  | { code: 'REPORT_KEY_UNKNOWN'; node: NodeId }
  | { code: 'REPORT_SIGNATURE'; node: NodeId }
  /** Its parts do not say the same, or its verdict does not follow from its facts. */
  | { code: 'REPORT_INCONSISTENT'; at: string }

/** What it says of itself follows from the facts. */
export function draftReport(what: {
  readonly kind: DrillKind
  readonly names: { readonly agent: string; readonly holder: string; readonly standby: string }
  readonly targets: DrillTargets
  readonly facts: DrillFacts
  readonly nextDueMs: number | null
}): Report {
  const { kind, names, targets, facts, nextDueMs } = what
  const { drill, mesh, agent, holder, standby, previous } = facts.point
  const checks = checksOf(kind, facts, targets)
  return {
    version: 1,
    kind,
    drill,
    number: (previous?.number ?? 0) + 1,
    mesh,
    agent: { id: agent, name: names.agent },
    holder: { id: holder, name: names.holder },
    standby: { id: standby, name: names.standby },
    targets,
    facts,
    checks,
    passed: checks.every((check) => check.ok),
    nextDueMs,
  }
}

/** Names a report; the next one of its agent carries it. */
export const hashOfReport = (report: Report, sodium: Sodium): string =>
  toHex(sodium.hash([TAGS.drillReport, canonicalBytes(report)]))

export const earlierOf = (report: Report, sodium: Sodium): Earlier => ({
  number: report.number,
  hash: hashOfReport(report, sodium),
})

export const signReport = (report: Report, key: Secret<'sign'>, sodium: Sodium): string =>
  toHex(sodium.sign(signedOf(report, sodium), key))

export const isSignedBy = (report: Report, signature: string, key: SignPublicKey, sodium: Sodium): boolean =>
  sodium.verify(fromHex(signature), signedOf(report, sodium), key)

export const signPoint = (point: RecoveryPoint, key: Secret<'sign'>, sodium: Sodium): string =>
  toHex(sodium.sign(pointBytes(point, sodium), key))

export const isPointOf = (point: RecoveryPoint, signature: string, key: SignPublicKey, sodium: Sodium): boolean =>
  sodium.verify(fromHex(signature), pointBytes(point, sodium), key)

export const encodeFiled = (filed: FiledReport): Uint8Array => canonicalBytes(filed)

/** Bytes from anywhere. Never throws. Only the one form of a report is one. */
export function decodeFiled(bytes: Uint8Array): Result<FiledReport, ReportFlaw> {
  if (bytes.length > REPORT_BYTES_MAX) return err({ code: 'REPORT_MALFORMED' })
  const filed = Filed.safeParse(parseJson(bytes))
  if (!filed.success || !equalBytes(encodeFiled(filed.data), bytes)) return err({ code: 'REPORT_MALFORMED' })
  return ok(filed.data)
}

/** Needs nothing but public keys: no node, no network. */
export function verifyReport(
  bytes: Uint8Array,
  keyOf: (node: NodeId) => SignPublicKey | undefined,
  sodium: Sodium,
): Result<FiledReport, ReportFlaw> {
  const decoded = decodeFiled(bytes)
  if (!decoded.ok) return decoded
  const { report, signatures } = decoded.value
  for (const [at, node] of signersOf(report).entries()) {
    const signed = signatures[at]
    const key = keyOf(node)
    if (key === undefined) return err({ code: 'REPORT_KEY_UNKNOWN', node })
    if (signed?.node !== node || !isSignedBy(report, signed.signature, key, sodium))
      return err({ code: 'REPORT_SIGNATURE', node })
  }
  const { id } = report.holder
  const holderKey = keyOf(id)
  if (holderKey === undefined) return err({ code: 'REPORT_KEY_UNKNOWN', node: id })
  if (!isPointOf(report.facts.point, report.facts.pointSignature, holderKey, sodium))
    return err({ code: 'REPORT_SIGNATURE', node: id })
  if (signatures.length !== signersOf(report).length) return err({ code: 'REPORT_INCONSISTENT', at: 'signatures' })
  const flaw = inconsistencyOf(report)
  return flaw === undefined ? decoded : err({ code: 'REPORT_INCONSISTENT', at: flaw })
}

/** What a report says twice it says alike, and what follows from its facts is what it says. Undefined: all is well. */
export function inconsistencyOf(report: Report): string | undefined {
  const { kind, targets, facts, nextDueMs } = report
  const names = { agent: report.agent.name, holder: report.holder.name, standby: report.standby.name }
  const again = draftReport({ kind, names, targets, facts, nextDueMs })
  for (const field of Object.keys(again) as (keyof Report)[])
    if (canonicalText(again[field]) !== canonicalText(report[field])) return field
  return report.holder.id === report.standby.id ? 'standby' : undefined
}

/** A holder that was not heard again has signed the point, and nothing after it: such a report is never green. */
const signersOf = ({ standby, holder, facts }: Report): NodeId[] =>
  facts.holderAfter === null ? [standby.id] : [standby.id, holder.id]

/** Whether `next` follows `last` in the chain of their agent. */
export function follows(next: Report, last: Report, sodium: Sodium): boolean {
  const { previous } = next.facts.point
  return next.agent.id === last.agent.id && previous?.hash === hashOfReport(last, sodium)
}

export const failedChecks = ({ checks }: Pick<Report, 'checks'>): Check[] => checks.filter((check) => !check.ok)

const signedOf = (report: Report, sodium: Sodium): Uint8Array =>
  sodium.hash([TAGS.drillSignature, canonicalBytes(report)])

const pointBytes = (point: RecoveryPoint, sodium: Sodium): Uint8Array =>
  sodium.hash([TAGS.drillPoint, canonicalBytes(point)])

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(bytes))
  } catch {
    return undefined
  }
}

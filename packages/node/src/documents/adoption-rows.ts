import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import { verifyPruned } from '@sealmesh/protocol/crdt/pruned'
import { blockOf, decodeRow, isRun, type Row } from '@sealmesh/protocol/crdt/row'
import { isSoundRun, verifyRun } from '@sealmesh/protocol/crdt/text-run'
import { BLOCK_AHEAD_MS_MAX } from '@sealmesh/protocol/limits'
import { mayEverWrite } from '@sealmesh/protocol/membership/judge'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { PrunedItem, PrunedRow } from '@sealmesh/protocol/sync/payload'
import type { Logger } from 'pino'
import type { ReceiveReport } from './filling.ts'

/** Signatures checked before others get a turn. */
export const VERIFY_PER_TURN = 64

export interface RowsDeps {
  readonly sodium: Sodium
  readonly mesh: () => Mesh
  readonly now: () => number
  readonly log: Pick<Logger, 'warn'>
}

/** Whether each end is under an incarnation of somebody who has or had a right to the document. */
export async function areTheirs(
  { sodium, log, mesh }: RowsDeps,
  { ends, rows, document: name }: PrunedItem,
  report: ReceiveReport,
): Promise<boolean> {
  const judged = mesh()
  const authors = [...judged.nodes.keys()].filter((node) => mayEverWrite(judged, node, name))
  for (const [at, { dot }] of ends.entries()) {
    if (at % VERIFY_PER_TURN === VERIFY_PER_TURN - 1) await nextTurn()
    if (authors.some((author) => isIncarnationOf(dot.incarnation, author, sodium))) continue
    // Its author's admission may be on its way: then the heads of what it wrote are not known either.
    for (const { bytes } of rows) {
      const decoded = decodeRow(bytes, sodium)
      if (decoded.ok) waitForHeads(blockOf(decoded.value), judged, report)
    }
    if (report.unknownHeads.length > 0) return false
    report.refused = rows.length
    log.warn({ code: 'END_NOT_THEIRS' }, 'what a peer keeps below its base was refused')
    return false
  }
  return true
}

/** A row that is what it says, by somebody who has or had a right to the document; or a line in the report. */
export function readRow(
  { sodium, mesh: meshNow, now, log }: RowsDeps,
  { bytes }: PrunedRow,
  name: DocumentName,
  report: ReceiveReport,
): Row | undefined {
  const turnAway = (code: string): undefined => {
    report.refused += 1
    log.warn({ code }, 'a block below a peer’s base was refused')
    return undefined
  }
  const mesh = meshNow()
  // A copy: a row that is kept must not keep the packet that it came in.
  const decoded = decodeRow(bytes.slice(), sodium)
  if (!decoded.ok) return turnAway('BLOCK_MALFORMED')
  const row = decoded.value
  const block = blockOf(row)
  const { header } = block
  const { agent, layer } = header.document
  if (header.mesh !== mesh.id || agent !== name.agent || layer !== name.layer) return turnAway('OTHER_DOCUMENT')
  if (!isIncarnationOf(header.incarnation, header.author, sodium)) return turnAway('INCARNATION_NOT_THEIRS')
  // Below a base everything counted: who knows the log that far can judge it.
  if (waitForHeads(block, mesh, report)) return undefined
  const signKey = mesh.nodes.get(header.author)?.signKey
  if (signKey === undefined || !mayEverWrite(mesh, header.author, name)) return turnAway('NOT_A_WRITER')
  if (!verifyPruned(block, signKey, sodium)) return turnAway('BLOCK_SIGNATURE')
  if (isRun(row)) {
    const makerKey = mesh.nodes.get(row.maker)?.signKey
    if (makerKey === undefined || !mayEverWrite(mesh, row.maker, name) || !verifyRun(row, makerKey, sodium))
      return turnAway('RUN_SIGNATURE')
    if (!isSoundRun(row)) return turnAway('RUN_MALFORMED')
  }
  // As any block it wins nothing early, and what is left below a base cannot be held.
  if (header.time.wallMs <= now() + BLOCK_AHEAD_MS_MAX) return row
  report.waiting += 1
  return undefined
}

/** Whether it names log heads that have not arrived, noted in the report. */
function waitForHeads({ header }: Block, mesh: Mesh, report: ReceiveReport): boolean {
  const missing = header.logHeads.filter((head) => !mesh.records.has(head))
  if (missing.length > 0) report.waiting += 1
  for (const head of missing) if (!report.unknownHeads.includes(head)) report.unknownHeads.push(head)
  return missing.length > 0
}

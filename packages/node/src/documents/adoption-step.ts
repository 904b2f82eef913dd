import { setImmediate as nextTurn } from 'node:timers/promises'
import { type BaseTip, isPruned } from '@sealmesh/protocol/crdt/base'
import type { DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import type { BaseRecord } from '../store/base-store.ts'
import type { BlockStore } from '../store/block-store.ts'
import type { Operation } from '../store/store.ts'
import { readRow, type RowsDeps, VERIFY_PER_TURN } from './adoption-rows.ts'
import type { ReceiveReport } from './filling.ts'

/** What has come of a base that is on its way, and where it will lie. */
export type Incoming = Pick<BaseRecord, 'generation' | 'tips' | 'target' | 'rows' | 'bytes'>

export interface Step {
  readonly next: Incoming
  /** The rows, for the commit that also says that they are here. */
  readonly operations: readonly Operation[]
  readonly grown: Set<IncarnationId>
  readonly stored: number
  /** Its rows go on from something that is not here. */
  readonly isElsewhere: boolean
  readonly whole: boolean
}

/** Checks an item's rows one after another, as far as they go on from what has come. Writes nothing. */
export async function stepTo(
  deps: RowsDeps & { readonly blocks: BlockStore },
  item: PrunedItem,
  id: DocumentId,
  before: Incoming,
  report: ReceiveReport,
): Promise<Step> {
  const tips = new Map(before.tips.map((tip) => [tip.dot.incarnation, tip]))
  const ends = new Map(before.target.map((end) => [end.dot.incarnation, end]))
  const grown = new Set<IncarnationId>()
  const operations: Operation[] = []
  let [rows, bytes, stored, isElsewhere] = [before.rows, before.bytes, 0, false]
  for (const [at, row] of item.rows.entries()) {
    if (at > 0 && at % VERIFY_PER_TURN === 0) await nextTurn()
    const block = readRow(deps, row, item.document, report)
    if (block === undefined) break // What follows it would leave a hole that nobody sees.
    const { incarnation, sequence, author, time } = block.header
    const end = ends.get(incarnation)
    if (end === undefined || sequence > end.dot.sequence) break
    const here = tips.get(incarnation)?.dot.sequence ?? 0
    if (sequence <= here) continue
    if (row.after > here) {
      report.waiting += 1
      isElsewhere = true
      break
    }
    if (sequence === end.dot.sequence && block.hash !== end.dot.hash) break
    if (isPruned(block)) {
      operations.push(deps.blocks.bases.putRow(id, before.generation, block))
      rows += 1
      bytes += block.bytes.length
    } else operations.push(deps.blocks.put(id, block))
    const dot = { incarnation, sequence, hash: block.hash }
    tips.set(incarnation, { dot, author, time, heard: sequence === end.dot.sequence ? end.heard : [] })
    grown.add(incarnation)
    stored += 1
  }
  const sorted: BaseTip[] = [...tips.values()].sort((a, b) => (a.dot.incarnation < b.dot.incarnation ? -1 : 1))
  const whole = before.target.every(({ dot }) => tips.get(dot.incarnation)?.dot.hash === dot.hash)
  return { next: { ...before, tips: sorted, rows, bytes }, operations, grown, stored, isElsewhere, whole }
}

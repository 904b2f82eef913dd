import { setImmediate as nextTurn } from 'node:timers/promises'
import type { BaseTip } from '@sealmesh/protocol/crdt/base'
import type { Dot } from '@sealmesh/protocol/crdt/clock'
import { runsFit } from '@sealmesh/protocol/crdt/placed-runs'
import { blockOf, isRun } from '@sealmesh/protocol/crdt/row'
import type { TextRun } from '@sealmesh/protocol/crdt/text-run'
import type { DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import type { Incoming } from '../store/base-store.ts'
import type { BlockStore } from '../store/block-store.ts'
import type { Operation } from '../store/store.ts'
import { readRow, type RowsDeps, VERIFY_PER_TURN } from './adoption-rows.ts'
import type { ReceiveReport } from './filling.ts'
import { decodeStoredRow } from './stored-document.ts'

export interface Step {
  readonly next: Incoming
  /** The rows, for the commit that also says that they are here. */
  readonly operations: readonly Operation[]
  readonly grown: Set<IncarnationId>
  /** Of the blocks that the rows are left of. */
  readonly dots: readonly Dot[]
  readonly stored: number
  /** Its rows go on from something that is not here. */
  readonly isElsewhere: boolean
  readonly whole: boolean
  /** False when it is whole, and its texts do not fit together. */
  readonly fits: boolean
  /** Why no honest sender sends these rows: nothing of them is taken. */
  readonly broken: 'ROW_BEYOND_END' | 'ROW_NOT_AT_END' | 'RUN_ELSEWHERE' | undefined
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
  const runs: TextRun[] = []
  const dots: Dot[] = []
  let [rows, bytes, stored, isElsewhere] = [before.rows, before.bytes, 0, false]
  let broken: Step['broken']
  for (const [at, row] of item.rows.entries()) {
    if (at > 0 && at % VERIFY_PER_TURN === 0) await nextTurn()
    const read = readRow(deps, row, item.document, report)
    if (read === undefined) break // What follows it would leave a hole that nobody sees.
    const block = blockOf(read)
    const { incarnation, sequence, author, time } = block.header
    const end = ends.get(incarnation)
    if (end === undefined || sequence > end.dot.sequence) {
      broken = 'ROW_BEYOND_END'
      break
    }
    const tip = tips.get(incarnation)
    const here = tip?.dot.sequence ?? 0
    if (sequence <= here) continue
    if (row.after > here) {
      report.waiting += 1
      isElsewhere = true
      break
    }
    if (sequence === end.dot.sequence && block.hash !== end.dot.hash) {
      broken = 'ROW_NOT_AT_END'
      break
    }
    let textEnd = tip?.textEnd ?? 0
    if (isRun(read)) {
      if (read.from !== textEnd) {
        broken = 'RUN_ELSEWHERE'
        break
      }
      textEnd = read.to
      runs.push(read)
    }
    operations.push(deps.blocks.bases.putRow(id, before.generation, read))
    rows += 1
    bytes += read.bytes.length
    const dot = { incarnation, sequence, hash: block.hash }
    tips.set(incarnation, { dot, author, time, textEnd, heard: sequence === end.dot.sequence ? end.heard : [] })
    grown.add(incarnation)
    dots.push(dot)
    stored += 1
  }
  const sorted: BaseTip[] = [...tips.values()].sort((a, b) => (a.dot.incarnation < b.dot.incarnation ? -1 : 1))
  // Rows that are here already say nothing new: what they made whole was looked at.
  const whole = stored > 0 && before.target.every(({ dot }) => tips.get(dot.incarnation)?.dot.hash === dot.hash)
  const fits = !whole || runsFit([...(await runsOf(deps, id, before)), ...runs])
  const next = { ...before, tips: sorted, rows, bytes }
  return { next, operations, grown, dots, stored, isElsewhere, whole, fits, broken }
}

/** Texts are built on each other across rows, so they are looked at when all of them are here. */
async function runsOf(
  { blocks, sodium }: RowsDeps & { readonly blocks: BlockStore },
  id: DocumentId,
  { generation }: Incoming,
): Promise<TextRun[]> {
  const runs: TextRun[] = []
  for await (const stored of blocks.bases.rows(id, generation)) {
    const row = decodeStoredRow(stored, id, sodium)
    if (isRun(row)) runs.push(row)
  }
  return runs
}

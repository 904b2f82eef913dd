import { type BaseState, deletedAside } from '@sealmesh/protocol/crdt/base'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { type AsideBlock, Document } from '@sealmesh/protocol/crdt/document'
import type { Floors } from '@sealmesh/protocol/crdt/floor'
import { runsFit } from '@sealmesh/protocol/crdt/placed-runs'
import { prune, type PrunedBlock } from '@sealmesh/protocol/crdt/pruned'
import { decodeRow, encodeRow, isRun, type Row } from '@sealmesh/protocol/crdt/row'
import { planRuns, type TextEnd } from '@sealmesh/protocol/crdt/run-plan'
import { isSoundRun, type RunMaker, signRun, type TextRun } from '@sealmesh/protocol/crdt/text-run'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import type { BlockHash, IncarnationId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { expect } from 'vitest'

interface Around {
  readonly judge: Judge
  readonly nowMs: number
  readonly forgotten: ReadonlyMap<string, BlockHash>
  /** What is set aside above the base. */
  readonly aside: readonly AsideBlock[]
  readonly maker: RunMaker
  readonly sodium: Sodium
  readonly floors?: Floors
}

export const NO_BASE: BaseState = { tips: [], blocks: [], runs: [] }

/** The base over another one and these blocks above it, as a node draws it, with what is stored read back from bytes. */
export function baseOver(
  name: DocumentName,
  before: BaseState,
  below: readonly Block[],
  { judge, nowMs, forgotten, aside, maker, sodium, floors }: Around,
): BaseState | undefined {
  const upTo = Document.rebuild(name, [], judge, nowMs, sodium, before, floors)
  const texts = new Map<IncarnationId, { runs: TextRun[]; since: TextEnd[] }>()
  const textsOf = (incarnation: IncarnationId) => {
    const known = texts.get(incarnation) ?? { runs: [], since: [] }
    texts.set(incarnation, known)
    return known
  }
  for (const run of before.runs) textsOf(run.end.header.incarnation).runs.push(run)
  for (const block of below.toSorted((a, b) => a.header.sequence - b.header.sequence)) {
    upTo.receive(block, judge, nowMs)
    const { incarnation, sequence } = block.header
    if (block.writes[0]?.type === 'text')
      textsOf(incarnation).since.push({ sequence, clock: upTo.textEndOf(incarnation) })
  }
  const remains = upTo.remains(forgotten, deletedAside(aside))
  if (remains === undefined) return undefined
  const all: readonly (Block | PrunedBlock)[] = [...before.blocks, ...below, ...before.runs.map(({ end }) => end)]
  const stored = (row: Row | undefined): Row => {
    const read = row && decodeRow(encodeRow(row), sodium)
    if (read?.ok !== true) throw new Error('What a base keeps can be read.')
    return read.value
  }
  const runs: TextRun[] = []
  const blocks: PrunedBlock[] = []
  const covered = new Set<BlockHash>()
  for (const [incarnation, { runs: old, since }] of texts)
    for (const plan of planRuns(upTo.yDoc, incarnation, old, since)) {
      if (plan === 'too long') throw new Error('What tests type is short.')
      const end = all.find(({ header }) => header.incarnation === incarnation && header.sequence === plan.sequence)
      const run = stored(end && signRun({ ...plan, end }, maker, sodium))
      if (!isRun(run) || !isSoundRun(run)) throw new Error('What was cut from a text is a run.')
      runs.push(run)
      covered.add(run.end.hash)
    }
  for (const block of all) {
    const kept = remains.kept.get(block.hash)
    if (kept === undefined || covered.has(block.hash)) continue
    const row = stored(prune(block, kept, sodium))
    if (!isRun(row)) blocks.push(row)
  }
  expect(runsFit(runs)).toBe(true)
  return { tips: remains.tips, blocks, runs }
}

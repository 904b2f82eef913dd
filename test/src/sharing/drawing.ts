import { type BaseState, closeCausally } from '@sealmesh/protocol/crdt/base'
import type { Block } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { Document } from '@sealmesh/protocol/crdt/document'
import { decodePruned, prune } from '@sealmesh/protocol/crdt/pruned'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import { FakeSodium } from '../membership/fake-sodium.ts'

interface Kept {
  /** Above the base. */
  readonly stored: readonly Block[]
  readonly base: BaseState | undefined
}

interface Around {
  /** Of the other readers, and of all who may write beside them. */
  readonly receipts: readonly VersionVector[]
  readonly writerReceipts: readonly VersionVector[]
  readonly judge: Judge
  readonly nowMs: number
}

/** What is left when a document's base is drawn as high as it may be; undefined when there is nothing below it. */
export function drawn(
  document: Document,
  { stored, base: before }: Kept,
  { receipts, writerReceipts, judge, nowMs }: Around,
): { stored: Block[]; base: BaseState } | undefined {
  const sodium = new FakeSodium()
  const reaches = [...document.compactable()].map(([incarnation, settled]) => {
    const receipted = receipts.map((vector) => vector.find((dot) => dot.incarnation === incarnation)?.sequence ?? 0)
    const own = stored.filter(({ header }) => header.incarnation === incarnation)
    const heard = own.map(({ header }) => ({ sequence: header.sequence, received: header.received }))
    return { incarnation, sequence: Math.min(settled, ...receipted), heard }
  })
  const ends = closeCausally(reaches)
  const isBelow = ({ header }: Block) => header.sequence <= (ends.get(header.incarnation) ?? 0)
  const below = stored.filter(isBelow)
  if (below.length === 0) return undefined
  const forgotten = document.forgettable(writerReceipts)
  const remains = Document.rebuild(document.name, below, judge, nowMs, sodium, before).remains(forgotten)
  if (remains === undefined) return undefined
  const blocks = [...(before?.blocks ?? []), ...below].flatMap((block) => {
    if (block.writes[0]?.type === 'text') return [block]
    const kept = remains.kept.get(block.hash)
    if (kept === undefined) return []
    const pruned = decodePruned(prune(block, kept, sodium).bytes, sodium)
    if (!pruned.ok) throw new Error(pruned.error.code)
    return [pruned.value]
  })
  document.stand(remains.tips, forgotten)
  return { stored: stored.filter((block) => !isBelow(block)), base: { tips: remains.tips, blocks } }
}

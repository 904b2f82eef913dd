import { asideAfter, type BaseState, closeCausally } from '@sealmesh/protocol/crdt/base'
import type { Block } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import type { NodeId } from '@sealmesh/protocol/ids'
import { baseOver, NO_BASE } from '../crdt/based.ts'
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
  const compactable = document.compactable()
  const aside = asideAfter(compactable, document.aside())
  const reaches = [...compactable].map(([incarnation, settled]) => {
    const receipted = receipts.map((vector) => vector.find((dot) => dot.incarnation === incarnation)?.sequence ?? 0)
    const own = stored.filter(({ header }) => header.incarnation === incarnation)
    const heard = own.map(({ header }) => ({ sequence: header.sequence, received: header.received }))
    return { incarnation, sequence: Math.min(settled, ...receipted), heard, aside: aside.get(incarnation) }
  })
  const ends = closeCausally(reaches)
  const isBelow = ({ header }: Block) => header.sequence <= (ends.get(header.incarnation) ?? 0)
  const below = stored.filter(isBelow)
  if (below.length === 0) return undefined
  const forgotten = document.forgettable(writerReceipts)
  const maker = { node: '00'.repeat(32) as NodeId, signKey: sodium.signKeys('sign', new Uint8Array(32)).secretKey }
  const around = { judge, nowMs, forgotten, aside: document.aside(), maker, sodium }
  const base = baseOver(document.name, before ?? NO_BASE, below, around)
  if (base === undefined) return undefined
  document.stand(base.tips, forgotten)
  return { stored: stored.filter((block) => !isBelow(block)), base }
}

/** The blocks that a base tells something of. */
export const leftIn = ({ blocks, runs }: BaseState): Block[] => [...blocks, ...runs.map(({ end }) => end)]

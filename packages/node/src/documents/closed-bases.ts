import type { BaseTip } from '@sealmesh/protocol/crdt/base'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import type { BlockStore } from '../store/block-store.ts'
import type { ClosedSets, DrawnBase } from './closed-sets.ts'
import { wholeEnds } from './pruned-delta.ts'

type Around = Omit<DrawnBase, 'ends'>

export const drawnBase = (tips: readonly BaseTip[], around: Around): DrawnBase => ({
  ends: tips.map(({ dot, author, time }) => ({ dot, author, wallMs: time.wallMs })),
  ...around,
})

/** A base has been drawn: what has ended below it is named by a closed set. */
export async function closeBelowBase(
  closed: ClosedSets,
  blocks: BlockStore,
  id: DocumentId,
  around: Around,
): Promise<void> {
  await closed.drawn(id, drawnBase((await blocks.bases.read(id))?.tips ?? [], around))
}

/** What a peer keeps below its base, with all of its ends; undefined when they stand on a set that is not here. */
export async function withAllEnds(
  closed: ClosedSets,
  id: DocumentId,
  item: PrunedItem,
): Promise<PrunedItem | undefined> {
  const ends = wholeEnds(item, await closed.of(id))
  return ends && { ...item, floor: null, ends }
}

/**
 * A set that lies below a base which is on its way is stood on at once, so that what has come of it can be said in short.
 */
export async function standBelowBase(
  closed: ClosedSets,
  blocks: BlockStore,
  id: DocumentId,
  isUnderWay: boolean,
): Promise<void> {
  if (!closed.has(id)) return
  // Once, when it begins, and when it is whole.
  if (isUnderWay && (await closed.of(id)).current !== null) return
  const record = await blocks.bases.read(id)
  const ends = record === undefined || record.target.length === 0 ? record?.tips : record.target
  if (ends === undefined) return
  await closed.standOnBest(
    id,
    ends.map(({ dot }) => dot),
  )
}

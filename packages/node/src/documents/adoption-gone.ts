import type { DocumentId } from '@sealmesh/protocol/ids'
import type { BlockStore } from '../store/block-store.ts'
import { blockKey, tipKey } from '../store/keys.ts'
import type { Operation } from '../store/store.ts'

/**
 * To let go of all that came of the base that is on its way, and of what stands on it. Nothing else of these
 * incarnations was here when it began. `left`: incarnations that stay.
 */
export async function goneWithout(
  blocks: BlockStore,
  id: DocumentId,
): Promise<{ operations: Operation[]; left: number }> {
  const record = await blocks.bases.read(id)
  const coming = new Set(record?.target.map(({ dot }) => dot.incarnation))
  const operations: Operation[] = [...coming].map((incarnation) => ({ type: 'delete', key: tipKey(id, incarnation) }))
  for await (const dot of blocks.dots(id))
    if (coming.has(dot.incarnation)) operations.push({ type: 'delete', key: blockKey(id, dot) })
  for (const key of await blocks.bases.leftOver(id, undefined, Number.POSITIVE_INFINITY))
    operations.push({ type: 'delete', key })
  const left = (await blocks.tips(id)).filter(({ incarnation }) => !coming.has(incarnation)).length
  return { operations, left }
}

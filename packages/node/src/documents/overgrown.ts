import type { DocumentId } from '@sealmesh/protocol/ids'
import type { BlockStore } from '../store/block-store.ts'
import { afterPrefix, documentPrefix } from '../store/keys.ts'
import type { Store } from '../store/store.ts'

/** Whether so much lies on disk of a document that a base may be worth drawing, or something was left behind. */
export async function isOvergrown(
  store: Store,
  blocks: BlockStore,
  id: DocumentId,
  floorBytes: number,
): Promise<boolean> {
  const prefix = documentPrefix(id)
  const bytes = await store.approximateBytes({ from: prefix, to: afterPrefix(prefix) })
  const record = await blocks.bases.read(id).catch(() => undefined)
  return record?.dirty === true || bytes >= Math.max(floorBytes, record?.bytes ?? 0)
}

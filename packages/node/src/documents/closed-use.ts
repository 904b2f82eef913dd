import { decodeHeader } from '@sealmesh/protocol/crdt/block-codec'
import type { ClosedDigest, DocumentId } from '@sealmesh/protocol/ids'
import { BlockStore } from '../store/block-store.ts'
import { blockKey } from '../store/keys.ts'
import type { Store } from '../store/store.ts'

/** The closed sets that stored blocks of a document name; undefined when one of these blocks cannot be read. */
export async function floorsNamed(store: Store, document: DocumentId): Promise<ReadonlySet<ClosedDigest> | undefined> {
  const named = new Set<ClosedDigest>()
  for await (const dot of new BlockStore(store).dots(document)) {
    // Only a first block names one.
    if (dot.sequence > 1) continue
    const bytes = await store.get(blockKey(document, dot)).catch(() => undefined)
    const header = bytes && decodeHeader(bytes)
    if (header?.ok !== true) return undefined
    if (header.value.floor !== null) named.add(header.value.floor.digest)
  }
  return named
}

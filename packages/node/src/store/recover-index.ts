import type { IndexEntry } from './document-index.ts'
import type { DocumentIndex } from './document-index.ts'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { toHex } from '@sealmesh/protocol/bytes'
import type { DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import { afterPrefix, asideKey, documentPrefix, dotOfKey, TABLES, tablePrefix } from './keys.ts'
import type { Operation } from './store.ts'
import type { Surveyed } from './survey.ts'

/**
 * Every block names its document, so an index entry that is lost is written anew from the blocks. One step for each
 * document: not for every start, but after damage and in every scrub. Gives how many were written.
 */
export async function recoverIndex({ store, sodium, decode }: Surveyed, index: DocumentIndex): Promise<number> {
  const operations: Operation[] = []
  const found: [DocumentId, IndexEntry][] = []
  for (const key of index.damaged) {
    const raw = await firstRaw(store, key)
    if (raw === undefined) continue
    operations.push({ type: 'delete', key }, { type: 'put', key: asideKey(key), value: raw })
  }
  const end = afterPrefix(tablePrefix(TABLES.block))
  for (let from = tablePrefix(TABLES.block); ; ) {
    const document = await firstDocument(store, from, end)
    if (document === undefined) break
    const prefix = documentPrefix(document)
    from = afterPrefix(prefix)
    if (index.get(document) !== undefined) continue
    const forked = new Set<IncarnationId>()
    let name: IndexEntry['name'] | undefined
    let before: string | undefined
    for await (const { key, value } of store.examine({ from: prefix, to: from })) {
      const block = value && decode(value)
      if (block === undefined) continue
      if (documentIdOf(block.header.document, sodium) === document) name = block.header.document
      const { incarnation, sequence } = dotOfKey(key)
      if (before === `${incarnation}.${sequence}`) forked.add(incarnation)
      before = `${incarnation}.${sequence}`
    }
    if (name === undefined) continue
    const entry: IndexEntry = { name, forked: [...forked] }
    operations.push(...index.put(document, entry))
    found.push([document, entry])
  }
  if (operations.length > 0) await store.commit(operations)
  for (const [document, entry] of found) index.remember(document, entry)
  return found.length
}

async function firstDocument(
  store: Surveyed['store'],
  from: Uint8Array,
  to: Uint8Array,
): Promise<DocumentId | undefined> {
  for await (const { key } of store.examine({ from, to, first: true })) return toHex(key.subarray(1, 33)) as DocumentId
  return undefined
}

async function firstRaw(store: Surveyed['store'], key: Uint8Array): Promise<Uint8Array | undefined> {
  for await (const { raw } of store.examine({ from: key, to: afterPrefix(key), first: true })) return raw
  return undefined
}

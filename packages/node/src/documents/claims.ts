import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { DamageBook } from '../store/damage-book.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import type { TipStore } from '../store/tip-store.ts'
import type { Documents } from './documents.ts'

/** What peers are told of every document, in one pass over what is written of their ends; open ones are not looked at. */
export async function claimsOf({
  tips,
  index,
  damage,
  documents,
}: {
  readonly tips: TipStore
  readonly index: DocumentIndex
  readonly damage: DamageBook
  readonly documents: Pick<Documents, 'claimed' | 'claimOf'>
}): Promise<Map<DocumentName, VersionVector>> {
  const claims = new Map<DocumentName, VersionVector>()
  const told = new Set<DocumentId>()
  for await (const each of tips.all()) {
    const name = index.get(each.document)?.name
    if (name === undefined || each.damaged || damage.of(each.document).length > 0) continue
    claims.set(name, documents.claimed(name, each.tips))
    told.add(each.document)
  }
  for (const [document, { name }] of index.entries())
    if (!told.has(document)) claims.set(name, await documents.claimOf(name))
  return claims
}

import { compareDots, type Dot, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { PrunedItem, PrunedRow } from '@sealmesh/protocol/sync/payload'
import type { BaseRecord } from '../store/base-store.ts'
import type { BlockStore } from '../store/block-store.ts'
import type { Delta } from './delta.ts'

/**
 * For a peer that stands below the base: what is left there beyond its vector, one incarnation after another, each up
 * to the base. Whole blocks come once it has all of that. Undefined when it stands above.
 */
export async function prunedAfter(
  blocks: BlockStore,
  document: { readonly id: DocumentId; readonly name: DocumentName },
  record: BaseRecord,
  vector: VersionVector,
  bytesMax: number,
): Promise<Delta | undefined> {
  const rows: PrunedRow[] = []
  const reached = new Map<string, Dot>()
  let bytes = 0
  let below = false
  const ends = record.tips.map(({ dot, heard }) => ({ dot, heard }))
  const item = (): PrunedItem => ({ type: 'pruned', document: document.name, ends, rows })
  const vectorNow = (): VersionVector =>
    [...vector.filter(({ incarnation }) => !reached.has(incarnation)), ...reached.values()].sort(compareDots)
  for (const { dot: end } of record.tips) {
    const theirs = vector.filter(({ incarnation }) => incarnation === end.incarnation)
    const known = Math.max(0, ...theirs.map(({ sequence }) => sequence))
    if (known >= end.sequence) continue
    below = true
    let after = known
    for await (const stored of blocks.bases.run(document.id, record.generation, end.incarnation, known + 1)) {
      if (rows.length > 0 && bytes + stored.bytes.length > bytesMax)
        return { blocks: [], pruned: item(), reached: vectorNow(), more: true }
      rows.push({ after, bytes: stored.bytes })
      after = stored.sequence
      bytes += stored.bytes.length
      const { incarnation, sequence, hash } = stored
      reached.set(incarnation, { incarnation, sequence, hash })
    }
  }
  return below ? { blocks: [], pruned: item(), reached: vectorNow(), more: true } : undefined
}

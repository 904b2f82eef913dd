import type { BaseState } from '@sealmesh/protocol/crdt/base'
import type { Block } from '@sealmesh/protocol/crdt/block'
import type { PrunedBlock } from '@sealmesh/protocol/crdt/pruned'
import { reachTips } from '@sealmesh/protocol/crdt/placed-runs'
import { blockOf, decodeRow, isRun, type Row } from '@sealmesh/protocol/crdt/row'
import type { TextRun } from '@sealmesh/protocol/crdt/text-run'
import { Failure } from '@sealmesh/protocol/errors'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { BaseRecord } from '../store/base-store.ts'
import { type BlockStore, endsOf, type StoredBlock } from '../store/block-store.ts'
import { decodeStored } from './delta.ts'

/** All that is on disk of a document. */
export interface StoredDocument {
  readonly record: BaseRecord | undefined
  readonly base: BaseState
  readonly above: Block[]
}

/** `part`: without the blocks above the base, where only the rest is wanted. Throws STORE_DAMAGED. */
export async function readDocument(
  blocks: BlockStore,
  id: DocumentId,
  sodium: Sodium,
  part: 'whole' | 'below' = 'whole',
): Promise<StoredDocument> {
  for (;;) {
    const record = await blocks.bases.read(id)
    try {
      const read = await readWith(record, blocks, id, sodium, part)
      if (isSame(await blocks.bases.read(id), record)) return read
    } catch (error) {
      // A base was drawn or received meanwhile, and what it made superfluous was deleted while it was read.
      if (isSame(await blocks.bases.read(id), record)) throw error
    }
  }
}

const isSame = (a: BaseRecord | undefined, b: BaseRecord | undefined): boolean =>
  a?.generation === b?.generation && a?.rows === b?.rows

/** As it would be read with this record. */
export async function readWith(
  record: BaseRecord | undefined,
  blocks: BlockStore,
  id: DocumentId,
  sodium: Sodium,
  part: 'whole' | 'below',
): Promise<StoredDocument> {
  const ends = endsOf(record)
  const above: Block[] = []
  if (part === 'whole')
    for await (const stored of blocks.iterate(id, record))
      if (stored.sequence > (ends.get(stored.incarnation) ?? 0)) above.push(decodeStored(stored, id, sodium))
  if (record === undefined) return { record, base: { tips: [], blocks: [], runs: [] }, above }
  const pruned: PrunedBlock[] = []
  const runs: TextRun[] = []
  for await (const stored of blocks.bases.rows(id, record.generation)) {
    const row = decodeStoredRow(stored, id, sodium)
    if (isRun(row)) runs.push(row)
    else pruned.push(row)
  }
  const rows = pruned.length + runs.length
  if (rows !== record.rows)
    throw new Failure(
      'STORE_DAMAGED',
      `Of document ${id} ${record.rows} rows lay below its base, and ${rows} are there.`,
    )
  if (!reachTips(runs, record.tips))
    throw new Failure('STORE_DAMAGED', `Of document ${id} the texts below its base end elsewhere than they did.`)
  const isComing = record.target.length > 0
  return { record, base: { tips: record.tips, blocks: pruned, runs, isComing }, above }
}

/** What is left of a block, or of texts up to it, or damage. */
export function decodeStoredRow(stored: StoredBlock, document: DocumentId, sodium: Sodium): Row {
  const row = decodeRow(stored.bytes, sodium)
  if (row.ok && blockOf(row.value).hash === stored.hash) return row.value
  throw new Failure(
    'STORE_DAMAGED',
    `What is left of block ${stored.sequence} of incarnation ${stored.incarnation} in document ${document} cannot be read.`,
  )
}

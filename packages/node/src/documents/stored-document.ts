import type { BaseState } from '@sealmesh/protocol/crdt/base'
import type { Block } from '@sealmesh/protocol/crdt/block'
import { isTextBlock } from '@sealmesh/protocol/crdt/block-walk'
import { decodePruned, type PrunedBlock } from '@sealmesh/protocol/crdt/pruned'
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
  a?.generation === b?.generation &&
  a?.rows === b?.rows &&
  a?.tips.length === b?.tips.length &&
  // One that is on its way grows by text blocks, too.
  (a?.tips ?? []).every(({ dot }, at) => dot.hash === b?.tips[at]?.dot.hash)

async function readWith(
  record: BaseRecord | undefined,
  blocks: BlockStore,
  id: DocumentId,
  sodium: Sodium,
  part: 'whole' | 'below',
): Promise<StoredDocument> {
  const ends = endsOf(record)
  const below: (Block | PrunedBlock)[] = []
  const above: Block[] = []
  for await (const stored of blocks.iterate(id, record)) {
    if (stored.sequence > (ends.get(stored.incarnation) ?? 0)) {
      if (part === 'whole') above.push(decodeStored(stored, id, sodium))
    } else if (isTextBlock(stored.bytes)) below.push(decodeStored(stored, id, sodium))
  }
  if (record === undefined) return { record, base: { tips: [], blocks: [] }, above }
  let rows = 0
  for await (const stored of blocks.bases.rows(id, record.generation)) {
    below.push(decodeRow(stored, id, sodium))
    rows += 1
  }
  if (rows !== record.rows)
    throw new Failure(
      'STORE_DAMAGED',
      `Of document ${id} ${record.rows} rows lay below its base, and ${rows} are there.`,
    )
  return { record, base: { tips: record.tips, blocks: below }, above }
}

/** What is left of a block, or damage. */
export function decodeRow(stored: StoredBlock, document: DocumentId, sodium: Sodium): PrunedBlock {
  const block = decodePruned(stored.bytes, sodium)
  if (block.ok && block.value.hash === stored.hash) return block.value
  throw new Failure(
    'STORE_DAMAGED',
    `What is left of block ${stored.sequence} of incarnation ${stored.incarnation} in document ${document} cannot be read.`,
  )
}

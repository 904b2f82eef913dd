import type { Block } from '@sealmesh/protocol/crdt/block'
import { decodeBlock } from '@sealmesh/protocol/crdt/block-codec'
import { blockOf, decodeRow, isRun } from '@sealmesh/protocol/crdt/row'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { type BlockStore, endsOf } from '../store/block-store.ts'
import { decodeStored } from './delta.ts'
import { decodeStoredRow } from './stored-document.ts'

/**
 * Blocks that have `key` in their bytes, so all that are left and write that register, and perhaps some others; looking
 * costs a fraction of decoding. Throws STORE_DAMAGED.
 */
export async function blocksWith(blocks: BlockStore, id: DocumentId, key: string, sodium: Sodium): Promise<Block[]> {
  const wanted = Buffer.from(key)
  const has = (bytes: Uint8Array): boolean => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(wanted)
  for (;;) {
    const record = await blocks.bases.read(id)
    const ends = endsOf(record)
    const found: Block[] = []
    for await (const stored of blocks.iterate(id, record)) {
      // What lies below the base and has not been deleted yet counts no more: its rows do.
      const above = stored.sequence > (ends.get(stored.incarnation) ?? 0)
      if (above && has(stored.bytes)) found.push(decodeStored(stored, id, sodium))
    }
    if (record !== undefined)
      for await (const stored of blocks.bases.rows(id, record.generation)) {
        const row = has(stored.bytes) ? decodeStoredRow(stored, id, sodium) : undefined
        if (row !== undefined && !isRun(row)) found.push(row)
      }
    // A base that was drawn meanwhile may have taken away what was not read yet.
    if ((await blocks.bases.read(id))?.generation === record?.generation) return found
  }
}

/** A block as it is sent: whole, or what is left of it. */
export function decodeSent(bytes: Uint8Array, sodium: Sodium): Block | undefined {
  const whole = decodeBlock(bytes, sodium)
  if (whole.ok) return whole.value
  const row = decodeRow(bytes, sodium)
  return row.ok ? blockOf(row.value) : undefined
}

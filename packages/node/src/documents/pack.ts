import type { Intent } from '@sealmesh/protocol/crdt/writer'
import { BLOCK_WRITES_MAX, PAYLOAD_BYTES_TARGET } from '@sealmesh/protocol/limits'

/** What a write adds to a block beside its key and value: lengths, and a clock of a few entries. */
export const WRITE_BYTES_EXTRA = 64

/**
 * Divides intents into blocks, in order. A block names a write by its key, so a repeated key starts the next one; a
 * text stands alone. A block is not split over packets, so it ends where a packet would, unless one value is larger.
 */
export function packIntents<T extends { readonly intent: Intent }>(items: Iterable<T>): T[][] {
  const blocks: T[][] = []
  const keys = new Set<string>()
  let open: T[] | undefined
  let bytes = 0
  for (const item of items) {
    const { intent } = item
    if (intent.type === 'text') {
      blocks.push([item])
      open = undefined
      continue
    }
    const size = intentBytes(intent)
    if (
      open === undefined ||
      keys.has(intent.key) ||
      open.length >= BLOCK_WRITES_MAX ||
      bytes + size > PAYLOAD_BYTES_TARGET
    ) {
      open = []
      blocks.push(open)
      keys.clear()
      bytes = 0
    }
    open.push(item)
    keys.add(intent.key)
    bytes += size
  }
  return blocks
}

export function intentBytes(intent: Intent): number {
  switch (intent.type) {
    case 'set':
      return Buffer.byteLength(intent.key) + Buffer.byteLength(intent.value) + WRITE_BYTES_EXTRA
    case 'delete':
      return Buffer.byteLength(intent.key) + WRITE_BYTES_EXTRA
    case 'text':
      return intent.update.length + WRITE_BYTES_EXTRA
  }
}

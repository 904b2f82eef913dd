import { PAYLOAD_BYTES_BULK, PAYLOAD_BYTES_TARGET } from '@sealmesh/protocol/limits'
import type { Plan, Push } from '@sealmesh/protocol/sync/peer-plan'
import { bytesOf, type Delta } from '../documents/delta.ts'
import type { Documents } from '../documents/documents.ts'
import { BULK_BLOCKS_MIN } from './mesh-sync-limits.ts'

/** The blocks that a plan pushes, as many as fit one packet, and the room that they leave: less than none for a large one. */
export async function gatherDeltas(
  documents: Pick<Documents, 'after'>,
  plan: Plan,
  toSend: number,
): Promise<{ readonly deltas: (Delta & Push)[]; readonly left: number }> {
  const deltas: (Delta & Push)[] = []
  // Nothing else shares a large packet: receipts and heads have their part of a small one.
  const bulk = plan.items.length === 0 && toSend > BULK_BLOCKS_MIN
  let left = bulk ? PAYLOAD_BYTES_BULK : PAYLOAD_BYTES_TARGET
  for (const push of plan.pushes) {
    if (left <= 0) break
    const delta = await documents.after(push.name, push.after, left)
    const bytes = bytesOf(delta)
    // A delta is one block at least, however large: with others before it, it waits for a packet of its own.
    if (deltas.length > 0 && bytes > left) break
    left -= bytes
    deltas.push({ ...push, ...delta })
  }
  return { deltas, left }
}

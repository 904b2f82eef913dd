import { type Block, dotOf } from './block.ts'
import { coversDot } from './clock.ts'
import type { Document } from './document.ts'

/** Whether a write that counts names this block as one whose words it carries over: then nothing of it is open. */
export function isMerged(document: Document, block: Block): boolean {
  const dot = dotOf(block)
  return (
    block.writes.length > 0 &&
    block.writes.every(
      (write) =>
        write.type !== 'text' &&
        document.stored(write.key).some(({ replaces }) => coversDot(replaces, dot, document.isAncestor)),
    )
  )
}

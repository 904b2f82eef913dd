import { isMerged } from '@sealmesh/protocol/crdt/merged'
import type { AsideBlock, Document } from '@sealmesh/protocol/crdt/document'
import type { MergedLate } from './merged-late.ts'

/**
 * Late blocks that nobody has dealt with. A merge names the late block in the clocks of what it writes, so every node
 * that has the document can tell. An edit of a text has no clock: there only the node that merged it knows.
 */
export function openAside(document: Document, merged: Pick<MergedLate, 'has'>): AsideBlock[] {
  return document.aside().filter(({ block }) => !merged.has(block.hash) && !isMerged(document, block))
}

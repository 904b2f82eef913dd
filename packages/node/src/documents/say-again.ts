import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Intent } from '@sealmesh/protocol/crdt/writer'
import { BLOCK_WRITES_MAX } from '@sealmesh/protocol/limits'
import type { Documents } from './documents.ts'

/**
 * What a node wrote of registers between hearing that it had lapsed and having caught up. Nobody kept tombstones for it,
 * so those that it had not met stand beside its writes where they are still known, and nowhere else. Written once more,
 * now that it has met them, its words replace them everywhere. Texts need none of this. What somebody else wrote beside
 * one stays a conflict: said again, the word would take its place.
 */
export async function sayAgain(
  documents: Pick<Documents, 'open' | 'write'>,
  name: DocumentName,
  blocks: readonly Block[],
): Promise<void> {
  const intents = wordsOf(blocks, await documents.open(name))
  for (let at = 0; at < intents.length; at += BLOCK_WRITES_MAX)
    await documents.write(name, intents.slice(at, at + BLOCK_WRITES_MAX))
}

/** Where they still stand, and nobody else's beside them. */
function wordsOf(blocks: readonly Block[], document: Document): Intent[] {
  const intents = new Map<string, Intent>()
  for (const { header, writes, hash } of blocks) {
    for (const write of writes) {
      if (write.type === 'text') continue
      const { key } = write
      const siblings = document.siblings(key)
      if (!siblings.some(({ dot }) => dot.hash === hash)) continue
      if (siblings.some(({ author }) => author !== header.author)) continue
      intents.set(key, write.type === 'set' ? { type: 'set', key, value: write.value } : { type: 'delete', key })
    }
  }
  return [...intents.values()]
}

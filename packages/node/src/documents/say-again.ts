import type { Block } from '@sealmesh/protocol/crdt/block'
import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Intent } from '@sealmesh/protocol/crdt/writer'

/**
 * What a node wrote of registers between hearing that it had lapsed and having caught up. Nobody kept tombstones for it,
 * so those that it had not met stand beside its writes where they are still known, and nowhere else. Written once more,
 * now that it has met them, its words replace them everywhere. Texts need none of this.
 *
 * Only where its word is what is read, and nothing but its own words and tombstones stands beside it: another's value
 * stays the conflict that it is, and a later deletion stays. Asked in the document's queue, so nothing comes between.
 */
export function wordsToSayAgain(blocks: readonly Block[], document: Document): Intent[] {
  const intents = new Map<string, Intent>()
  for (const { header, writes, hash } of blocks) {
    for (const write of writes) {
      if (write.type === 'text') continue
      const { key } = write
      const [winner, ...others] = document.siblings(key)
      if (winner?.dot.hash !== hash) continue
      if (others.some(({ author, value }) => author !== header.author && value !== undefined)) continue
      // It has seen nobody's word: only its own and tombstones are replaced.
      intents.set(
        key,
        write.type === 'set' ? { type: 'set', key, value: write.value, seen: [] } : { type: 'delete', key, seen: [] },
      )
    }
  }
  return [...intents.values()]
}

import { assert } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/** With four children a node costs a third of the hashing of two, and a path is not yet twice as long. */
const CHILDREN_MAX = 4

export const leafOf = (write: Uint8Array, sodium: Sodium): Uint8Array => sodium.hash([TAGS.writeLeaf, write])

/**
 * The root over a block's writes in their order (03-blocks §6). Leaves and nodes have tags of their own, so a tree of
 * another shape has another root; a lone last child stands for itself.
 */
export function rootOf(leaves: readonly Uint8Array[], sodium: Sodium): Uint8Array {
  let level = leaves
  while (level.length > 1) {
    const above: Uint8Array[] = []
    for (let at = 0; at < level.length; at += CHILDREN_MAX) {
      const children = level.slice(at, at + CHILDREN_MAX)
      above.push(children.length === 1 ? children[0]! : sodium.hash([TAGS.writeNode, ...children]))
    }
    level = above
  }
  const root = level[0]
  assert(root !== undefined, 'a block holds at least one write')
  return root
}

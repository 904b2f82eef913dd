import { HASH_BYTES } from '../keys.ts'
import { assert } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/** With four children a node costs a third of the hashing of two, and a path is not yet twice as long. */
export const CHILDREN_MAX = 4

/**
 * The root over a block's writes in their order (03-blocks §6). Write i lies in `bytes` between ends[i] and
 * ends[i + 1]. Leaves and nodes have tags of their own, so a tree of another shape has another root; a lone last child
 * stands for itself.
 */
export function rootOf(bytes: Uint8Array, ends: readonly number[], sodium: Sodium): Uint8Array {
  assert(ends.length > 1, 'a block holds at least one write')
  let level = sodium.hashRuns(TAGS.writeLeaf, bytes, ends)
  while (level.length > HASH_BYTES) level = levelAbove(level, sodium)
  return level
}

/** `level`: hashes one after another. */
export function levelAbove(level: Uint8Array, sodium: Sodium): Uint8Array {
  const lone = level.length % (CHILDREN_MAX * HASH_BYTES) === HASH_BYTES
  const hashed = lone ? level.length - HASH_BYTES : level.length
  const ends = [0]
  for (let at = 0; at < hashed; ) ends.push((at = Math.min(at + CHILDREN_MAX * HASH_BYTES, hashed)))
  const nodes = sodium.hashRuns(TAGS.writeNode, level, ends)
  if (!lone) return nodes
  const above = new Uint8Array(nodes.length + HASH_BYTES)
  above.set(nodes)
  above.set(level.subarray(hashed), nodes.length)
  return above
}

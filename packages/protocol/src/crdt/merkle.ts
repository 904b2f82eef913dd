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

export const leafOf = (write: Uint8Array, sodium: Sodium): Uint8Array => sodium.hash([TAGS.writeLeaf, write])

/** The tree over a block's writes, as far as they are known: a part that is not is one hash. */
export interface Tree {
  /** The leaves under it: `from` up to, not including, `to`. */
  readonly from: number
  readonly to: number
  readonly hash: Uint8Array
  /** None: a leaf, or a part of which only the hash is left. */
  readonly children: readonly Tree[]
}

/**
 * `leafAt`: of a write that is there. `fringe`: the hashes that stand for the others, each part that has lost all of
 * its writes by one, from left to right. Undefined when there are too few of them or too many.
 */
export function treeWith(
  count: number,
  leafAt: ReadonlyMap<number, Uint8Array>,
  fringe: readonly Uint8Array[],
  sodium: Sodium,
): Tree | undefined {
  const kept = [...leafAt.keys()].sort((a, b) => a - b)
  let taken = 0
  const build = (from: number, to: number, span: number): Tree | undefined => {
    if (!someWithin(kept, from, to)) {
      const hash = fringe[taken++]
      return hash && { from, to, hash, children: [] }
    }
    if (span === 1) return { from, to, hash: leafAt.get(from)!, children: [] }
    const below = span / CHILDREN_MAX
    const children: Tree[] = []
    for (let at = from; at < to; at += below) {
      const child = build(at, Math.min(at + below, to), below)
      if (child === undefined) return undefined
      children.push(child)
    }
    if (children.length === 1) return children[0]
    const hash = sodium.hash([TAGS.writeNode, ...children.map((child) => child.hash)])
    return { from, to, hash, children }
  }
  let span = 1
  while (span < count) span *= CHILDREN_MAX
  const tree = build(0, count, span)
  return taken === fringe.length ? tree : undefined
}

/** What is to be kept of the tree so that `kept`, some of the writes that it knows, still give its root. */
export function fringeOf(tree: Tree, kept: readonly number[]): Uint8Array[] {
  if (!someWithin(kept, tree.from, tree.to)) return [tree.hash]
  return tree.children.flatMap((child) => fringeOf(child, kept))
}

/** `sorted` is ascending. */
function someWithin(sorted: readonly number[], from: number, to: number): boolean {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! < from) low = middle + 1
    else high = middle
  }
  return low < sorted.length && sorted[low]! < to
}

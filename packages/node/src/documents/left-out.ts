import type { Block } from '@sealmesh/protocol/crdt/block'
import type { Document } from '@sealmesh/protocol/crdt/document'
import { replaces } from '@sealmesh/protocol/crdt/register'
import type { IncarnationId } from '@sealmesh/protocol/ids'
import * as Y from 'yjs'
import type { LeftOut } from '../store/left-out-store.ts'

/**
 * Values that stood `before` and stand no more, and of which nothing that stands `after` says that it knew them. Who
 * drew the base means that they were deleted, or leaves them out; no signature tells the two apart.
 * `contested`: of these incarnations there are two histories, so a number says nothing of what came before it.
 */
export function leftOutOf(before: Document, after: Document, contested: ReadonlySet<IncarnationId>): LeftOut[] {
  const { name } = before
  const left: LeftOut[] = []
  for (const key of new Set([...before.keys(), ...before.conflicted()])) {
    const standing = after.stored(key)
    for (const write of before.stored(key)) {
      const { dot, author, time, value } = write
      if (value === undefined || standing.some((each) => each.dot.hash === dot.hash)) continue
      const isKnown =
        !contested.has(dot.incarnation) && standing.some((each) => replaces(each, write, after.isAncestor))
      if (isKnown) continue
      left.push({ name, block: dot.hash, author, wallMs: time.wallMs, write: { type: 'set', key, value } })
    }
  }
  return left
}

/**
 * What `blocks` say, which go because their author has written two histories and the base has the other one; and what
 * texts read with these and with `texts`, which may be of either.
 */
export function wordsOf(
  blocks: readonly Block[],
  texts: readonly Block[],
  before: Document,
  after: Document,
): LeftOut[] {
  const { name } = before
  const left: LeftOut[] = []
  const updates: Uint8Array[] = []
  let last: Block | undefined
  for (const block of [...texts, ...blocks]) {
    const { author, time } = block.header
    for (const write of block.writes) {
      if (write.type !== 'text') left.push({ name, block: block.hash, author, wallMs: time.wallMs, write })
      else {
        updates.push(write.update)
        last = block
      }
    }
  }
  if (last === undefined) return left
  const { author, time } = last.header
  const read = withUpdates(before.yDoc, updates)
  for (const key of read.share.keys()) {
    const value = read.getText(key).toString()
    if (value !== (after.text(key) ?? ''))
      left.push({ name, block: last.hash, author, wallMs: time.wallMs, write: { type: 'text', key, value } })
  }
  return left
}

/** As far as they can be read at all: who wrote them is not honest. */
function withUpdates(from: Y.Doc, updates: readonly Uint8Array[]): Y.Doc {
  const copy = new Y.Doc()
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(from))
  for (const update of updates) {
    try {
      Y.applyUpdate(copy, update)
    } catch {
      continue
    }
  }
  return copy
}

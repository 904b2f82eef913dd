import type { Block, Write } from '@sealmesh/protocol/crdt/block'
import { type Clock, coversDot, EMPTY_CLOCK, isAncestorBySequence } from '@sealmesh/protocol/crdt/clock'
import type { Document, Entry } from '@sealmesh/protocol/crdt/document'
import { compareTimes } from '@sealmesh/protocol/crdt/hybrid-time'
import type { BlockHash, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import * as Y from 'yjs'
import type { LeftOut } from '../store/left-out-store.ts'

/**
 * Values that stood `before`, stand no more, and are not accounted for by what stands `after`. Who drew the base means
 * that they were deleted, or leaves them out: no signature tells the two apart.
 *
 * A value is accounted for by a write of the same register whose signed clock covers it, or of the same incarnation and
 * later. Clocks of what was displaced are gone. So where `mayBeReplaced` says of an author that others had long to replace what
 * it wrote, a later word in the same place is enough.
 * `contested`: of these incarnations there are two histories, so a number says nothing of what came before it.
 */
export function leftOutOf(
  before: Document,
  { document, blocks }: { readonly document: Document; readonly blocks: Iterable<Pick<Block, 'hash' | 'writes'>> },
  contested: ReadonlySet<IncarnationId>,
  mayBeReplaced: (author: NodeId) => boolean,
): LeftOut[] {
  const { name } = before
  const left: LeftOut[] = []
  const signed = new Map<BlockHash, readonly Write[]>()
  for (const { hash, writes } of blocks) signed.set(hash, writes)
  for (const key of new Set([...before.keys(), ...before.conflicted()])) {
    const standing = document.siblings(key)
    for (const { dot, author, time, value } of before.siblings(key)) {
      if (value === undefined || standing.some((each) => each.dot.hash === dot.hash)) continue
      const isAccountedFor = (each: Entry): boolean => {
        if (mayBeReplaced(author) && compareTimes(each.time, time) > 0) return true
        if (each.dot.incarnation === dot.incarnation) return each.dot.sequence > dot.sequence
        return coversDot(clockOf(signed.get(each.dot.hash), key), dot, isAncestorBySequence)
      }
      if (!contested.has(dot.incarnation) && standing.some(isAccountedFor)) continue
      left.push({ name, block: dot.hash, author, wallMs: time.wallMs, write: { type: 'set', key, value } })
    }
  }
  return left
}

/**
 * Deletions that are undone: where a value is read `after` that is older than the tombstone which was read `before`, or
 * that was here and had gone with its tombstone. An honest base has neither: what is written where a tombstone was known,
 * or stands beside one, and is read, is later.
 */
export function undeletedIn(before: Document, after: Document, contested: ReadonlySet<IncarnationId>): LeftOut[] {
  const { name } = before
  const left: LeftOut[] = []
  const aside = new Set(before.aside().map(({ block }) => block.hash))
  const here = new Map(before.vector.map(({ incarnation, sequence }) => [incarnation, sequence]))
  const wasHere = ({ dot: { incarnation, sequence, hash } }: Entry): boolean =>
    sequence <= (here.get(incarnation) ?? 0) && !contested.has(incarnation) && !aside.has(hash)
  for (const key of after.keys()) {
    const value = after.read(key)
    const was = before.read(key)
    if (value === undefined || (was !== undefined && was.value !== undefined)) continue
    if (was === undefined ? !wasHere(value) : compareTimes(value.time, was.time) > 0) continue
    const { dot, author, time } = was ?? value
    left.push({ name, block: dot.hash, author, wallMs: time.wallMs, write: { type: 'delete', key } })
  }
  return left
}

function clockOf(writes: readonly Write[] | undefined, key: string): Clock {
  for (const write of writes ?? []) if (write.type !== 'text' && write.key === key) return write.replaces
  return EMPTY_CLOCK
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

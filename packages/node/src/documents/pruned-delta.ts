import {
  compareDots,
  type Dot,
  EMPTY_CLOCK,
  entriesOf,
  firstOf,
  type VersionVector,
} from '@sealmesh/protocol/crdt/clock'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { expandFloored, type Floors, overFloor } from '@sealmesh/protocol/crdt/floor'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { PrunedItem, PrunedRow } from '@sealmesh/protocol/sync/payload'
import { ROW_BYTES_EXTRA, roomBeside } from '@sealmesh/protocol/sync/pruned-room'
import type { BaseRecord } from '../store/base-store.ts'
import type { BlockStore } from '../store/block-store.ts'
import type { Delta } from './delta.ts'

/**
 * For a peer that stands below the base: what is left there beyond its vector, one incarnation after another, each up
 * to the base. Whole blocks come once it has all of that. Undefined when it stands above.
 */
export async function prunedAfter(
  blocks: BlockStore,
  document: { readonly id: DocumentId; readonly name: DocumentName },
  record: BaseRecord,
  vector: VersionVector,
  bytesMax: number,
  floors: Floors,
): Promise<Delta | undefined> {
  const rows: PrunedRow[] = []
  // Ends are in every item, and nothing is left out of them.
  let room: number | undefined
  const reached = new Map<string, Dot>()
  let bytes = 0
  let below = false
  const ends = floorEnds(record.tips, floors)
  const item = (): PrunedItem => ({ type: 'pruned', document: document.name, ...ends, rows })
  const vectorNow = (): VersionVector =>
    [...vector.filter(({ incarnation }) => !reached.has(incarnation)), ...reached.values()].sort(compareDots)
  for (const { dot: end } of record.tips) {
    const theirs = entriesOf(vector, end.incarnation)
    const known = Math.max(0, ...theirs.map(({ sequence }) => sequence))
    if (known >= end.sequence) continue
    below = true
    let after = known
    for await (const stored of blocks.bases.run(document.id, record.generation, end.incarnation, known + 1)) {
      room ??= roomBeside(ends.ends)
      const size = stored.bytes.length + ROW_BYTES_EXTRA
      // No base is drawn that is so: the set that shortened the ends has been lost.
      if (rows.length === 0 && size > room) return { blocks: [], reached: vector, more: false }
      if (rows.length > 0 && bytes + size > Math.min(bytesMax, room))
        return { blocks: [], pruned: item(), reached: vectorNow(), more: true }
      rows.push({ after, bytes: stored.bytes })
      after = stored.sequence
      bytes += size
      const { incarnation, sequence, hash } = stored
      reached.set(incarnation, { incarnation, sequence, hash })
    }
  }
  return below ? { blocks: [], pruned: item(), reached: vectorNow(), more: true } : undefined
}

type Ends = Pick<PrunedItem, 'floor' | 'ends'>

/** A base's ends as they are sent: what stands in the closed set, and has nothing to say besides, is not written out. */
function floorEnds(tips: BaseRecord['tips'], floors: Floors): Ends {
  const { floor, rest } = overFloor(
    tips.map(({ dot }) => dot),
    floors,
  )
  const isWritten = ({ dot, heard }: BaseRecord['tips'][number]) =>
    heard.length > 0 || rest[firstOf(rest, dot.incarnation)]?.incarnation === dot.incarnation
  return { floor, ends: tips.filter(isWritten).map(({ dot, heard }) => ({ dot, heard })) }
}

/** All of them; undefined when the closed set is not known here. */
export function wholeEnds({ floor, ends }: Ends, floors: Floors): PrunedItem['ends'] | undefined {
  if (floor === null) return ends
  const dots = expandFloored({ floor, rest: ends.map(({ dot }) => dot) }, floors)
  const heard = new Map(ends.map((end) => [end.dot.incarnation, end.heard]))
  return dots?.map((dot) => ({ dot, heard: heard.get(dot.incarnation) ?? EMPTY_CLOCK }))
}

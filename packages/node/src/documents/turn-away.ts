import type { Block } from '@sealmesh/protocol/crdt/block'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { ClosedSets } from './closed-sets.ts'
import type { ReceiveReport } from './filling.ts'

/**
 * Not stored: nothing in the log lets its author write here. A record that has not arrived may; then the sender sends
 * the block again. With all its heads here there is none that the author knew of.
 */
export function turnAway({ header }: Block, mesh: Mesh, report: ReceiveReport): void {
  const missing = header.logHeads.filter((head) => !mesh.records.has(head))
  if (missing.length === 0) report.refused += 1
  else report.waiting += 1
  for (const head of missing) if (!report.unknownHeads.includes(head)) report.unknownHeads.push(head)
}

/**
 * Its author had received what a closed set names that is not here: the sender is asked for it, and sends it again. A
 * set that is here stays for the block, wherever that is stored.
 */
export function isFloorMissing(
  { header: { floor } }: Block,
  id: DocumentId,
  closed: Pick<ClosedSets, 'knows' | 'named'>,
  report: ReceiveReport,
): boolean {
  if (floor === null) return false
  if (closed.knows(id, floor.digest)) {
    closed.named(id, floor.digest)
    return false
  }
  report.unknownFloors ??= []
  if (report.unknownFloors.every(({ digest }) => digest !== floor.digest))
    report.unknownFloors.push({ digest: floor.digest, by: null })
  return true
}

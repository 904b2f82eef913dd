import type { Block } from '@sealmesh/protocol/crdt/block'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
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

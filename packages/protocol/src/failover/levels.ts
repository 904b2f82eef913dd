import { coversDot, isAncestorBySequence, type VersionVector } from '../crdt/clock.ts'
import { countMissing } from '../crdt/vector.ts'
import type { NodeId } from '../ids.ts'
import type { Progress } from '../sync/stored.ts'

/**
 * How far a write has come (docs/spec/13-acknowledgements.md §1): fsynced here; stored by the relay for every node that
 * counts, or receipted by it; receipted by all of these.
 */
export const LEVELS = ['local', 'relayed', 'replicated'] as const
export type Level = (typeof LEVELS)[number]

export const reaches = (level: Level, wanted: Level): boolean => LEVELS.indexOf(level) >= LEVELS.indexOf(wanted)

/** `target`: what a write brought, or all that somebody waits for. */
export interface Reach {
  readonly level: Level
  /** Nodes that have not receipted it, and those of them for which no relay has stored it. */
  readonly unreceipted: readonly NodeId[]
  readonly unstored: readonly NodeId[]
}

/** What has become of it at the nodes that count. With none of these nothing more than this disk has it. */
export function reachOf(
  target: VersionVector,
  nodes: readonly NodeId[],
  progressOf: (node: NodeId) => Progress | undefined,
): Reach {
  const unreceipted = nodes.filter((node) => !hasReceipted(progressOf(node), target))
  const unstored = unreceipted.filter((node) => !isStoredFor(progressOf(node), target))
  const level = nodes.length === 0 || unstored.length > 0 ? 'local' : unreceipted.length > 0 ? 'relayed' : 'replicated'
  return { level, unreceipted, unstored }
}

/** Durable there, by its word under a log that is known here. */
export const hasReceipted = (progress: Progress | undefined, target: VersionVector): boolean =>
  progress !== undefined &&
  coversAll(progress.receipted, target) &&
  (progress.confirmed === undefined || coversAll(progress.confirmed, target))

/** Each part of it lies on the relay's disk, or on the peer's. */
const isStoredFor = (progress: Progress | undefined, target: VersionVector): boolean =>
  progress !== undefined && target.every((dot) => coversAll(progress.stored, [dot]) || hasReceipted(progress, [dot]))

/** One write is looked up; of a whole vector most entries are the same objects. */
const coversAll = (vector: VersionVector, target: VersionVector): boolean =>
  vector === target ||
  (target.length === 1 ? coversDot(vector, target[0]!, isAncestorBySequence) : countMissing(vector, target) === 0)

import { equalBytes } from '../bytes.ts'
import type { NodeId } from '../ids.ts'
import type { LeaseBlob } from './lease-blob.ts'
import { type LeaseTiming, quietMs } from './timing.ts'

/** One node's register as another one watches it. */
export interface Watched {
  /** Null for nothing there. */
  readonly hash: Uint8Array | null
  /** Null for nothing there, or nothing that a member has written. */
  readonly blob: LeaseBlob | null
  /** When this node saw it change, or saw it first; on its own monotonic clock, which is never too fast by sleeping. */
  readonly changedAtMs: number
  /** How often it has changed under its eyes. */
  readonly changes: number
}

/** What was read, and when the answer came: the register may have changed until just before it. */
export function watch(
  before: Watched | undefined,
  read: { readonly hash: Uint8Array | null; readonly blob: LeaseBlob | null },
  nowMs: number,
): Watched {
  const isSame =
    before !== undefined &&
    (before.hash === null ? read.hash === null : read.hash !== null && equalBytes(before.hash, read.hash))
  return isSame ? before : { ...read, changedAtMs: nowMs, changes: before === undefined ? 0 : before.changes + 1 }
}

/**
 * From when on standby number `place` (0 for the first) may take what the register lists. The first one begins as soon
 * as nobody counts on the lease any more, the others in turn, so that they do not race.
 */
export function ripeAtMs(watched: Watched, timing: LeaseTiming, place: number): number {
  const turnMs = place * timing.retryMs
  if (watched.blob === null) return Number.POSITIVE_INFINITY
  switch (watched.blob.state.type) {
    case 'renewed':
      return watched.changedAtMs + Math.max(quietMs(watched.blob.leaseMs), quietMs(timing.leaseMs)) + turnMs
    // Nobody holds it: there is nothing to wait for, but for those before us.
    case 'released':
    case 'broken':
      return watched.changedAtMs + turnMs
  }
}

/** Where a node stands among those that may take over from the holder: the order of the host record. */
export const placeOf = (hosts: readonly NodeId[], holder: NodeId, node: NodeId): number =>
  hosts.filter((host) => host !== holder).indexOf(node)

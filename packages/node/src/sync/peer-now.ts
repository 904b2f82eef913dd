import type { NodeId } from '@sealmesh/protocol/ids'
import type { DocumentVector } from '@sealmesh/protocol/sync/payload'
import type { PeerSync, PeerView } from '@sealmesh/protocol/sync/peer-sync'

/** A peer as it stands: for showing. */
export interface PeerNow {
  readonly node: NodeId
  readonly view: PeerView
  readonly words: DocumentVector[]
  /** Why the relay refused the last packet that it answered; null when it took it. */
  readonly refused: string | null
  /** Packets that the relay has not answered. */
  readonly inFlight: number
}

interface Known extends Pick<PeerNow, 'node' | 'refused' | 'inFlight'> {
  readonly core: PeerSync
}

/** `aheadMs`: what to add to a monotonic time for one on the wall. */
export function peerNow({ node, core, refused, inFlight }: Known, aheadMs: number): PeerNow {
  const view = core.view()
  return {
    node,
    view: { ...view, lastHeardAtMs: later(view.lastHeardAtMs, aheadMs) },
    words: core.words(),
    refused,
    inFlight,
  }
}

/** When it was last heard in this run. */
export const heardNow = ({ node, core }: Pick<Known, 'node' | 'core'>, aheadMs: number) => ({
  node,
  atMs: later(core.lastHeardAtMs, aheadMs),
})

const later = (ms: number | null, aheadMs: number): number | null => (ms === null ? null : ms + aheadMs)

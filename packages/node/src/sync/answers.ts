import type { PacketId } from '@sealmesh/protocol/ids'
import { keyOf } from '@sealmesh/protocol/sync/peer-sync'
import type { Outcome } from '@sealmesh/protocol/wire/frame'
import type { MeshSyncDeps } from './mesh-sync-deps.ts'
import { REFUSED_PAUSE_MS } from './mesh-sync-limits.ts'
import type { Peer } from './peer.ts'

/** What the relay's answer for a packet means for the peer that it went to. False: it was none of this peer's. */
export function heedAnswer(
  peer: Peer,
  packet: PacketId,
  outcomes: readonly Outcome[],
  { monotonicMs, logger, onProgress }: Pick<MeshSyncDeps, 'monotonicMs' | 'logger' | 'onProgress'>,
): boolean {
  const answered = peer.flight.answered(packet)
  if (answered === undefined) return false
  const refusal = outcomes.find((each) => each.outcome === 'refused')
  if (refusal !== undefined) {
    logger.warn({ code: refusal.reason }, 'the relay refused a packet')
    peer.refused = refusal.reason
    peer.pausedUntilMs = monotonicMs() + REFUSED_PAUSE_MS
    peer.flight.forget() // What was taken after it has a hole before it.
    peer.core.doubt('link')
    return true
  }
  const { over, own } = answered
  peer.refused = null
  peer.core.handedOver(over)
  for (const { document } of over) peer.handed.set(keyOf(document), document)
  // `delivered` says that it was passed on: nobody's disk has it until the peer says so.
  if (own.length > 0 && outcomes.every(({ outcome }) => outcome === 'stored')) {
    peer.core.storedAtRelay(own)
    onProgress?.(
      peer.node,
      own.map(({ document }) => document),
    )
  }
  return true
}

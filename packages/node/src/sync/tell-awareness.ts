import { encodePayload } from '@sealmesh/protocol/sync/payload'
import { wrapPayload } from '@sealmesh/protocol/sync/payload-form'
import { mayRead } from '@sealmesh/protocol/sync/recipients'
import type { AwarenessItem, MeshSyncDeps } from './mesh-sync-deps.ts'
import { HEARD_LATELY_MS } from './mesh-sync-limits.ts'
import type { Peer } from './peer.ts'

/**
 * Who edits what, to those who may read it and were heard of lately. No answer is awaited and nothing is sent again;
 * a mailbox drops it after `lifeMs`, so that nobody learns tomorrow who was editing today.
 */
export function tellAwareness(
  { log, port, monotonicMs }: Pick<MeshSyncDeps, 'log' | 'port' | 'monotonicMs'>,
  peers: Iterable<Peer>,
  send: (packet: Uint8Array) => void,
  item: AwarenessItem,
  lifeMs: number,
): void {
  const heardAfterMs = monotonicMs() - HEARD_LATELY_MS
  const items = encodePayload([item])
  for (const { node, core, deflater } of peers) {
    if ((core.view().lastHeardAtMs ?? Number.NEGATIVE_INFINITY) < heardAfterMs) continue
    if (!mayRead(log.mesh, item.document, node)) continue
    const packet = port.seal(node, wrapPayload(items, deflater), 'sync', lifeMs)
    if (packet !== undefined) send(packet.bytes)
  }
}

import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { SyncItem } from '@sealmesh/protocol/sync/payload'
import { mayRead } from '@sealmesh/protocol/sync/recipients'
import { INTERESTS_MAX } from './mesh-sync-limits.ts'
import type { Peer } from './peer.ts'
import type { Sharing } from './sharing.ts'

/** Documents that the peer named and we may read, of which nobody has sent us anything yet. */
export function interestsIn(
  items: readonly SyncItem[],
  peer: Peer,
  mesh: Mesh,
  node: NodeId,
  sharing: Pick<Sharing, 'knows'>,
): DocumentName[] {
  const interests: DocumentName[] = []
  for (const item of items) {
    if (item.type !== 'vectors') continue
    for (const { document } of item.documents) {
      if (sharing.knows(document) || peer.interests >= INTERESTS_MAX || !mayRead(mesh, document, node)) continue
      peer.interests += 1
      interests.push(document)
    }
  }
  return interests
}

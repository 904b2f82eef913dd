import type { NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { PeerNow } from '../sync/peer-now.ts'

/**
 * Who may still know of blocks that this home once had: every other member that has not named all it has since then,
 * or named something that is not here. Who has lapsed is not waited for, as nowhere else.
 */
export function notRelearntFrom(
  mesh: Pick<Mesh, 'nodes'>,
  own: NodeId,
  peers: readonly Pick<PeerNow, 'node' | 'view'>[],
  sinceMs: number,
): NodeId[] {
  const views = new Map(peers.map((peer) => [peer.node, peer.view]))
  return [...mesh.nodes.values()].flatMap(({ id, revocations, lapsed }) => {
    if (id === own || revocations.length > 0 || lapsed) return []
    const view = views.get(id)
    return view?.toReceive === 0 && (view.lastHeardAtMs ?? 0) > sinceMs ? [] : [id]
  })
}

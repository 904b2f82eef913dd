import type { NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { SyncItem } from '@sealmesh/protocol/sync/payload'

/**
 * Our newest prekey, unasked: a peer that has not got it (we have just joined, or it was away for a month) cannot seal
 * anything to us, not even the question for our records.
 */
export function introductionOf(mesh: Mesh, node: NodeId): SyncItem[] {
  const prekey = mesh.nodes.get(node)?.prekeys[0]
  const record = prekey === undefined ? undefined : mesh.records.get(prekey.record)
  return record === undefined ? [] : [{ type: 'records', records: [record.bytes] }]
}

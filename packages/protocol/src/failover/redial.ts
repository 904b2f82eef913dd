import type { NodeId } from '../ids.ts'
import type { Mesh } from '../membership/mesh.ts'
import { LEASE_TIMINGS } from './timing.ts'

/**
 * How long a node may stay away from a relay that answers again, in milliseconds: a holder that dials later than the
 * standbys, after all were without the relay, loses what it holds to them for nothing. Undefined for whoever is host of
 * no leased agent.
 */
export function redialMsMax(mesh: Mesh, node: NodeId): number | undefined {
  if (mesh.witness === null) return undefined
  for (const { failover, hosts } of mesh.agents.values())
    if (failover.mode !== 'manual' && hosts.includes(node)) return LEASE_TIMINGS[mesh.witness.profile].retryMs
  return undefined
}

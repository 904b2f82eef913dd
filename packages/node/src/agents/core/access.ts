import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { AgentId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'

/**
 * What one agent may read or write of what this machine has: its own agent's documents, and layers that are granted to
 * it by name. What is granted to the machine is for its owner, not for every agent on it.
 */
export function mayReach(mesh: Mesh, agent: AgentId, { agent: owner, layer }: DocumentName, access: 'read' | 'write') {
  if (agent === owner) return true
  const grants = mesh.agents.get(owner)?.grants ?? []
  return grants.some(
    (grant) =>
      grant.layer === layer &&
      grant.ended === null &&
      grant.to.type === 'agent' &&
      grant.to.agent === agent &&
      (access === 'read' || grant.access === 'write'),
  )
}

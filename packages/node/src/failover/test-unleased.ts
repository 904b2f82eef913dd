import type { LeaseListing } from '@sealmesh/protocol/failover/lease-listing'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'

/** For tests: agents without a lease; who holds one by the log may speak for it. */
export function unleased(node: NodeId, mesh: () => Mesh): LeaseListing {
  const agentOf = (agent: AgentId) => mesh().agents.get(agent)
  return {
    listedSync: () => null,
    relistSoon: () => undefined,
    mayAcknowledge: (agent) => {
      const known = agentOf(agent)
      return known?.term?.holder === node && known.failover.mode === 'manual'
    },
  }
}

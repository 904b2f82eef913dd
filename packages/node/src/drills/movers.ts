import type { Failure } from '@sealmesh/protocol/errors'
import type { AgentId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Mesh, MeshAgent, Term } from '@sealmesh/protocol/membership/mesh'
import type { Standing } from '@sealmesh/protocol/sync/peer-sync'

/** What drills that move an agent ask of failover: what a person could, and what is to be seen of it. */
export interface Movers {
  handover(agent: AgentId, to: NodeId): Promise<Term>
  /** The register is about to name the successor: all is receipted. */
  isHanded(agent: AgentId): boolean
  /** Null: this node may act for it in this tick. */
  fence(agent: AgentId): Failure | null
  /** This node's lease lists it, or it has none. */
  isListed(agent: MeshAgent): boolean
  isCaughtUp(agent: MeshAgent, record: RecordHash): boolean
  grantAct(agent: AgentId): Promise<unknown>
  /** Whether nobody counts on the holder's lease any more. */
  isRipe(agent: MeshAgent, holder: NodeId): boolean
  standings(node: NodeId): readonly Standing[]
  /** As a power cut would: at once, with nothing let go of. */
  endProcess(): void
}

/**
 * In this tick: all that is durable here of the agent is receipted by everybody whom a `replicated` write waits for.
 * `also`: one more who is to have it.
 */
export function isReplicated(
  { node, mesh, movers }: { readonly node: NodeId; readonly mesh: () => Mesh; readonly movers: Movers },
  agentId: AgentId,
  also: NodeId,
): boolean {
  const agent = mesh().agents.get(agentId)
  const waitedFor = new Set([...(agent?.syncSet?.members ?? agent?.hosts ?? []), also])
  waitedFor.delete(node)
  return [...waitedFor].every((host) =>
    movers
      .standings(host)
      .filter(({ name, peerReads }) => name.agent === agentId && peerReads)
      .every(({ toSend }) => toSend === 0),
  )
}

import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { nodeByName } from '@sealmesh/protocol/membership/access'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import { EVERYBODY } from '@sealmesh/protocol/messages/addresses'
import { mayAddress } from './who.ts'

/** An agent and the other machine that its messages go to. */
export interface Far {
  readonly agent: AgentId
  readonly node: NodeId
}

export interface FarRules {
  readonly mesh: Mesh
  /** This machine. */
  readonly node: NodeId
  /** Of agents that claim one name the one that it means; every message asks. */
  readonly agentNamed: (name: string) => MeshAgent | undefined
  /** A program is attached here as that agent. */
  readonly isAttached: (agent: AgentId) => boolean
  /** Other machines that say so of theirs, the best first. */
  readonly attachedAt: (agent: AgentId) => readonly NodeId[]
}

/**
 * Whom a message goes to on other machines (docs/spec/16-agents.md §6). A name means the agent here while it is attached
 * here, else where it is attached, else the machine that holds it; `name@machine` means that machine. Only where the recipient's inbox is granted
 * to the sender by name, whatever agents of one machine may.
 */
export function farRecipientsOf(to: string, sender: AgentId, rules: FarRules): readonly Far[] {
  const { mesh } = rules
  if (mesh.nodes.size === 1) return []
  if (to === EVERYBODY || to.startsWith('#'))
    return [...mesh.agents.values()].flatMap((agent) => (agent.id === sender ? [] : whereItIs(agent, sender, rules)))
  const [name = '', machine] = to.split('@')
  const agent = rules.agentNamed(name)
  if (agent === undefined) return []
  if (machine === undefined) return whereItIs(agent, sender, rules)
  const node = nodeByName(mesh, machine)?.id
  return node !== undefined && node !== rules.node && mayGo(mesh, sender, rules.node, agent.id, node)
    ? [{ agent: agent.id, node }]
    : []
}

function whereItIs(
  { id, term }: MeshAgent,
  sender: AgentId,
  { mesh, node, isAttached, attachedAt }: FarRules,
): readonly Far[] {
  if (isAttached(id)) return []
  const attached = attachedAt(id).find((machine) => mayGo(mesh, sender, node, id, machine))
  if (attached !== undefined) return [{ agent: id, node: attached }]
  if (term === null || term.holder === node) return []
  return mayGo(mesh, sender, node, id, term.holder) ? [{ agent: id, node: term.holder }] : []
}

/**
 * Whether a message may go from an agent on one machine to an agent on another, by the log alone: both ends ask it, the
 * sending one before each sending.
 */
export function mayGo(mesh: Mesh, sender: AgentId, from: NodeId, recipient: AgentId, to: NodeId): boolean {
  const [one, other] = [mesh.agents.get(sender), mesh.agents.get(recipient)]
  if (one === undefined || other === undefined) return false
  if (!isHost(mesh, one, from) || !isHost(mesh, other, to)) return false
  return mayAddress(sender, other, 'granted')
}

/** Whether a machine may carry an agent at this moment. */
export const isHost = (mesh: Mesh, { hosts }: MeshAgent, node: NodeId): boolean =>
  hosts.includes(node) && mesh.nodes.get(node)?.revocations.length === 0

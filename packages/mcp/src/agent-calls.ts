import type {
  AgentMethodInput,
  AgentMethodName,
  AgentMethodResult,
  Delivery,
} from '@sealmesh/protocol/ipc/agent-methods'

/** What the MCP server needs of the agent that it speaks for: one attached to the node's agents' door. */
export interface AgentCalls {
  /** The agent's own name, without its machine. */
  readonly name: string
  /** Whether messages come here from now on: not beside another program that is the same agent and reads them. */
  claimMail(): Promise<boolean>
  call<M extends AgentMethodName>(method: M, params: Omit<AgentMethodInput<M>, 'as'>): Promise<AgentMethodResult<M>>
  /** Whatever comes for this agent; it may come twice. It is acknowledged when the listener's promise resolves. */
  onDelivery(listener: (delivery: Delivery) => Promise<void>): () => void
  /** Tells what changes below a prefix, as far as the agent may read it. */
  watchMemory(prefix: string, listener: () => void): Promise<void>
}

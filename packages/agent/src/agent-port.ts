import type { Delivery } from '@sealmesh/protocol/ipc/agent-methods'
import type { Message, Priority } from '@sealmesh/protocol/messages/message'
import type { AgentView, Profile } from '@sealmesh/protocol/messages/profile'

/**
 * What a pattern needs of the agent that it runs for: the client of a real node gives it, and a world in one thread
 * does in tests. Nothing here promises order between senders; everything may come twice.
 */
export interface AgentPort {
  /** This agent's own name, without its machine. */
  readonly name: string
  send(draft: Draft): Promise<Sent>
  /** Whatever comes for this agent. The listener has done with a delivery when its promise resolves. */
  onDelivery(listener: (delivery: Delivery) => Promise<void> | void): () => void
  agents(filter?: { readonly capability?: string; readonly role?: string }): Promise<readonly AgentView[]>
  describe(profile: Partial<Profile>): Promise<void>
  /** JSON text of one register of a document that it may read or write; undefined where there is none. */
  read(umr: string): Promise<string | undefined>
  list(prefix: string): Promise<readonly string[]>
  /** Durable here when it resolves. */
  write(umr: string, value: string): Promise<void>
  /** Of a register that is not there, nothing. */
  remove(umr: string): Promise<void>
}

export interface Draft {
  readonly to: string
  readonly type: string
  readonly payload?: unknown
  readonly priority?: Priority
  readonly id?: string
  readonly correlation?: string
  /** What this one answers or follows from: hops and lineage are taken from it. */
  readonly causedBy?: Message
  readonly expiresMs?: number
  readonly durable?: boolean
}

export interface Sent {
  readonly id: string
  /** Agents that got it at once, and agents for which it waits. */
  readonly delivered: number
  readonly waiting: number
}

import type { InboxLimits } from './core/inbox.ts'
import type { PaceLimits } from './core/pace.ts'

/** What one local agent, or one connection of many, can make the node hold. */
export interface AgentLimits {
  /** A process may host a pool of agents on one connection. */
  readonly handlesPerConnection: number
  /** Worked on at once; past it the connection is not read. */
  readonly callsPerConnection: number
  /** Connections on which nobody is attached. */
  readonly strangersMax: number
  /** After so many wrong tokens a connection ends. */
  readonly wrongTokensMax: number
  /** Programs that are one agent beside the one that reads its messages. */
  readonly besidePerAgent: number
  readonly topicsPerAgent: number
  readonly watchesPerAgent: number
  readonly pace: PaceLimits
  /** Of an agent that is attached, or whose letters are durable. */
  readonly inbox: InboxLimits
  /** Of an agent that is away, for what does not outlive the process. */
  readonly awayInbox: InboxLimits
  /** All inboxes of this node together. */
  readonly allInboxesBytes: number
}

export const AGENT_LIMITS: AgentLimits = {
  handlesPerConnection: 256,
  callsPerConnection: 1_024, // All of a pool may wait in `inbox.take`, and still call.
  strangersMax: 256, // A quarter of all: attaching takes milliseconds.
  wrongTokensMax: 16, // Of a pool some may have been taken back; who guesses has 2^256 before him in any case.
  besidePerAgent: 32, // Else one agent could hold all connections.
  topicsPerAgent: 64,
  watchesPerAgent: 32,
  pace: { perSecond: 10_000, burst: 20_000 }, // A hundred agents that each hear a hundred others once a second.
  inbox: { letters: 4_096, bytes: 8 * 1_048_576 },
  awayInbox: { letters: 256, bytes: 1_048_576 },
  allInboxesBytes: 128 * 1_048_576,
}

import type { AgentId, RecordHash } from '../ids.ts'

/** What acknowledgements ask of leases (docs/spec/12-failover.md §6). Agents without a lease are listed nowhere. */
export interface LeaseListing {
  /**
   * The *sync* record whose prefix lies in the lease register beside the agent: of a renewal that has succeeded, and
   * whose lease runs. Null: none, and then no acknowledgement of a leased agent may rely on a set.
   */
  listedSync(agent: AgentId): RecordHash | null
  /** Another record is in the log: the next renewal, which lists it, goes now. */
  relistSoon(agent: AgentId): void
  /** Whether this node may say at this moment that a write of the agent's single-writer layers will last. */
  mayAcknowledge(agent: AgentId): boolean
}

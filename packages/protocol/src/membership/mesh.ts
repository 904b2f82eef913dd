import type { Announced } from '../envelope/daily-mailboxes.ts'
import type { AgentId, MailboxId, MeshId, NodeId, RecordHash, RelayId } from '../ids.ts'
import type { LoginPublicKey, SealPublicKey } from '../keys.ts'
import type {
  Basis,
  Cut,
  FailoverPolicy,
  GrantTo,
  LeaseProfile,
  NodeIdentity,
  RecordSigner,
  SignedRecord,
} from './record.ts'

/** What the membership log folds to: the only source of who may do what. Immutable. */
export interface Mesh {
  readonly id: MeshId
  readonly name: string
  /** Records that no known record follows, sorted; at most `LOG_HEADS_MAX`, those that count before those that do not. */
  readonly heads: readonly RecordHash[]
  /** Every record whose ancestors are all known, void ones included; parents come before children. */
  readonly records: ReadonlyMap<RecordHash, SignedRecord>
  /** Parents that waiting records name and that have not arrived, sorted. */
  readonly missing: readonly RecordHash[]
  /** Records that count for nothing, and why (docs/spec/02-membership.md §6 to §9). */
  readonly voided: ReadonlyMap<RecordHash, VoidReason>
  readonly nodes: ReadonlyMap<NodeId, MeshNode>
  readonly agents: ReadonlyMap<AgentId, MeshAgent>
  readonly relays: readonly { readonly address: string; readonly relay: RelayId }[]
  /** Where copies of the log go, for a machine that the root lets in when all else is lost. */
  readonly recovery: Recovery | null
  /** The newest checkpoint, by whom it was signed: `checkpoint.ts` says whether it is so here. */
  readonly checkpoint: { readonly record: RecordHash; readonly signer: RecordSigner } | null
  /** Who keeps node leases; null while nobody does, and no term excludes another. */
  readonly witness: {
    readonly record: RecordHash
    readonly relays: readonly RelayId[]
    readonly profile: LeaseProfile
  } | null
  /** Digest of the set of revocations; content keys of an older epoch are erased. 32 bytes. */
  readonly epoch: Uint8Array
  /** Whether `ancestor` is in the causal past of `of`, or is it. Both must be in `records`. */
  isInPast(ancestor: RecordHash, of: RecordHash): boolean
}

export interface Recovery {
  readonly loginKey: LoginPublicKey
  readonly sealKey: SealPublicKey
  readonly mailbox: MailboxId
}

export type VoidReason =
  /** The signer has not the part that this kind of record asks for. */
  | 'SIGNER_NOT_ALLOWED'
  /** By a node that a revoke names, and outside that revoke's causal past. */
  | 'SIGNER_REVOKED'
  /** By a node whose admission does not count. */
  | 'SIGNER_UNKNOWN'
  /** It speaks of a node, an agent or a grant that does not count in its causal past. */
  | 'SUBJECT_UNKNOWN'
  /** Admits a node again with another name or another login key. */
  | 'SUBJECT_TAKEN'
  /** Admits a node that had been removed: it comes back under a new identity. */
  | 'SUBJECT_REVOKED'
  /** Takes a term, or signs as the holder of one, without being among the agent's hosts. */
  | 'NOT_A_HOST'
  /** Its term is not the one after `previous`, or not above every term in its past. */
  | 'TERM_NOT_HIGHER'
  /** Signed under delegation in a term, and outside the causal past of an assign of a higher one. */
  | 'TERM_PASSED'

/** A record that ended a right, and what still counts of what was written under it. */
export interface Ending {
  readonly record: RecordHash
  readonly cuts: readonly Cut[]
}

export interface Prekey extends Announced {
  readonly publicKey: SealPublicKey
  readonly record: RecordHash
}

export interface MeshNode extends NodeIdentity {
  readonly id: NodeId
  readonly admin: boolean
  /** The record that admitted it: `found` or `admit`. */
  readonly admittedBy: RecordHash
  /** Non-empty when it has been removed. */
  readonly revocations: readonly Ending[]
  /** Each time that it was silent for too long: its blocks outside a cut count only if it knew of the lapse. */
  readonly lapses: readonly Ending[]
  /** Whether it has lapsed and not announced itself since: nobody waits for its receipts. */
  readonly lapsed: boolean
  /** Newest first, expired ones included. */
  readonly prekeys: readonly Prekey[]
}

export interface Term {
  readonly number: number
  readonly holder: NodeId
  readonly record: RecordHash
  readonly previous: RecordHash | null
  readonly reason: string
  readonly timeMs: number
  readonly basis: readonly Basis[]
}

export interface Grant {
  readonly record: RecordHash
  readonly layer: string
  readonly to: GrantTo
  readonly access: 'read' | 'write'
  /** Set when it was taken back: the first of `endings`. */
  readonly ended: Ending | null
  /** Every ungrant of it, by record: several when it was taken back on two sides of a fork. */
  readonly endings: readonly Ending[]
}

/** One valid host record's list, and the nodes that it dropped. */
export interface Hosting {
  readonly record: RecordHash
  readonly nodes: readonly NodeId[]
  /** Nodes that were hosts before this record and are not by it. */
  readonly removed: readonly { readonly node: NodeId; readonly cuts: readonly Cut[] }[]
}

export interface MeshAgent {
  readonly id: AgentId
  readonly name: string
  readonly delegate: boolean
  /** In standby order; nodes that are revoked or not admitted left out. Concurrent host records: §8, removal wins. */
  readonly hosts: readonly NodeId[]
  /** Every valid host record, by record, for judging blocks that were written under an older one. */
  readonly hostings: readonly Hosting[]
  /** Every valid term, by (number, record). Two of one number are two terms: an overlap, and visible. */
  readonly terms: readonly Term[]
  /** The last of `terms`, which says who holds the agent now. */
  readonly term: Term | null
  /** Ended ones included, by record. */
  readonly grants: readonly Grant[]
  /** Its record is null where nobody has said anything. */
  readonly failover: FailoverPolicy & { readonly record: RecordHash | null }
  /** Of the present term: null until its holder has named one. */
  readonly syncSet: { readonly record: RecordHash; readonly members: readonly NodeId[] } | null
}

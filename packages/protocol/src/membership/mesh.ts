import type { AgentId, MeshId, NodeId, RecordHash, RelayId } from '../ids.ts'
import type { SealPublicKey } from '../keys.ts'
import type { Basis, Cut, GrantTo, NodeIdentity, SignedRecord } from './record.ts'

/** What the membership log folds to: the only source of who may do what. Immutable. */
export interface Mesh {
  readonly id: MeshId
  readonly name: string
  /** Hashes of the records that no known record follows, sorted. */
  readonly heads: readonly RecordHash[]
  /** Every record whose ancestors are all known, void ones included. */
  readonly records: ReadonlyMap<RecordHash, SignedRecord>
  /** Records that wait for a parent, and the parents that are missing. */
  readonly missing: readonly RecordHash[]
  /** Records that count for nothing, and why. */
  readonly voided: ReadonlyMap<RecordHash, VoidReason>
  readonly nodes: ReadonlyMap<NodeId, MeshNode>
  readonly agents: ReadonlyMap<AgentId, MeshAgent>
  readonly relays: readonly { readonly address: string; readonly relay: RelayId }[]
  /** Digest of the set of revocations; content keys of an older epoch are erased. 32 bytes. */
  readonly epoch: Uint8Array
  /** Whether `ancestor` is in the causal past of `of`, or is it. Both must be in `records`. */
  isInPast(ancestor: RecordHash, of: RecordHash): boolean
}

export type VoidReason =
  | 'SIGNER_NOT_ALLOWED'
  | 'SIGNER_REVOKED'
  | 'SIGNER_UNKNOWN'
  | 'SUBJECT_UNKNOWN'
  | 'SUBJECT_TAKEN'
  | 'NOT_A_HOST'
  | 'TERM_NOT_HIGHER'
  | 'TERM_PASSED'

export interface Prekey {
  readonly publicKey: SealPublicKey
  readonly notBeforeMs: number
  readonly expiresMs: number
  readonly record: RecordHash
}

export interface MeshNode extends NodeIdentity {
  readonly id: NodeId
  readonly admin: boolean
  /** The record that admitted it: `found` or `admit`. */
  readonly admittedBy: RecordHash
  /** Non-empty when it has been removed. */
  readonly revocations: readonly { readonly record: RecordHash; readonly cuts: readonly Cut[] }[]
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
  /** Set when it was taken back. */
  readonly ended: { readonly record: RecordHash; readonly cuts: readonly Cut[] } | null
}

/** One host record's list and, when a later record dropped nodes, what still counts of them. */
export interface Hosting {
  readonly record: RecordHash
  readonly nodes: readonly NodeId[]
}

export interface MeshAgent {
  readonly id: AgentId
  readonly name: string
  readonly delegate: boolean
  /** In standby order, from the newest valid host record; revoked nodes left out. */
  readonly hosts: readonly NodeId[]
  /** Every valid host record, for judging blocks that were written under an older one. */
  readonly hostings: readonly Hosting[]
  /** For nodes that a host record removed. */
  readonly hostCuts: ReadonlyMap<NodeId, readonly Cut[]>
  /** Every valid term, by (number, record). */
  readonly terms: readonly Term[]
  /** The highest, which says who holds the agent now. */
  readonly term: Term | null
  /** Ended ones included. */
  readonly grants: readonly Grant[]
}

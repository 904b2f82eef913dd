import type { DocumentName } from '../crdt/block.ts'
import type { VersionVector } from '../crdt/clock.ts'
import type { AgentId, MailboxId, MeshId, NodeId, RecordHash, RelayId } from '../ids.ts'
import type { LoginPublicKey, SealPublicKey, Signature, SignPublicKey } from '../keys.ts'

/** Who an admitted machine is. Its id derives from `signKey` and its founding agent's key. */
export interface NodeIdentity {
  readonly name: string
  readonly signKey: SignPublicKey
  readonly loginKey: LoginPublicKey
  readonly foundingAgent: { readonly id: AgentId; readonly name: string }
}

/** What counts of a writer that may no longer write: per document, what the signer had receipted. */
export interface Cut {
  readonly document: DocumentName
  readonly vector: VersionVector
}

export type GrantTo =
  | { readonly type: 'node'; readonly node: NodeId }
  | { readonly type: 'agent'; readonly agent: AgentId }
  /** Every node that the agent's host record names. */
  | { readonly type: 'standby' }

/** What a takeover starts from: all blocks of this document that the new holder will ever fold of older terms. */
export interface Basis {
  readonly layer: string
  readonly vector: VersionVector
  /** Over winners, siblings and text content: `crdt/digest.ts`. */
  readonly digest: Uint8Array
}

/** Lease, renewal, guard and retry of each: `failover/timing.ts`. */
export const LEASE_PROFILES = ['default', 'fast', 'calm'] as const
export type LeaseProfile = (typeof LEASE_PROFILES)[number]

/** Who moves a term to another node: a person, a person whom a standby asks, or a standby by itself. */
export const FAILOVER_MODES = ['manual', 'ask', 'auto'] as const
export type FailoverMode = (typeof FAILOVER_MODES)[number]

/** Without a standby in step: *available* goes on with fewer copies and says so, *strict* acknowledges nothing. */
export const DURABILITIES = ['available', 'strict'] as const
export type Durability = (typeof DURABILITIES)[number]

export interface FailoverPolicy {
  readonly mode: FailoverMode
  readonly durability: Durability
}

export type RecordBody =
  /** By the root: the mesh's first node, which is an admin. */
  | { readonly type: 'found'; readonly meshName: string; readonly node: NodeIdentity }
  /** By the root or an admin. A member that is admitted again as an admin finds its new relay token here, if any. */
  | {
      readonly type: 'admit'
      readonly node: NodeIdentity
      readonly admin: boolean
      /** An encoded token chain (wire/token.ts); empty when it goes another way. Proves nothing here. */
      readonly token: Uint8Array
    }
  /** By the agent's key or, when `delegate` was set, the node that holds its term: who may carry it, standby order. */
  | {
      readonly type: 'host'
      readonly agent: AgentId
      readonly name: string
      readonly nodes: readonly NodeId[]
      readonly delegate: boolean
      /** For nodes that this record removes. */
      readonly cuts: readonly { readonly node: NodeId; readonly cuts: readonly Cut[] }[]
    }
  /** By the agent's key or its holder under delegation. */
  | {
      readonly type: 'grant'
      readonly agent: AgentId
      readonly layer: string
      readonly to: GrantTo
      readonly access: 'read' | 'write'
    }
  | { readonly type: 'ungrant'; readonly agent: AgentId; readonly grant: RecordHash; readonly cuts: readonly Cut[] }
  /** By the new holder, which the host record must name. */
  | {
      readonly type: 'assign'
      readonly agent: AgentId
      readonly term: number
      readonly holder: NodeId
      /** The assign that it follows; null for the first. */
      readonly previous: RecordHash | null
      readonly reason: string
      readonly basis: readonly Basis[]
    }
  /** By the node itself. */
  | {
      readonly type: 'prekey'
      readonly node: NodeId
      readonly publicKey: SealPublicKey
      readonly notBeforeMs: number
      readonly expiresMs: number
      /** `OwnMailboxes.announced`: where to send what is sealed to it, day by day. */
      readonly mailboxes: Uint8Array
    }
  /** By the root or an admin: where the mesh's relays are, in order of preference. */
  | {
      readonly type: 'relay'
      readonly relays: readonly { readonly address: string; readonly relay: RelayId }[]
    }
  /** By the root or an admin: one atomic end. */
  | { readonly type: 'revoke'; readonly node: NodeId; readonly reason: string; readonly cuts: readonly Cut[] }
  /** By the root or an admin: silent for so long that nobody waits for it. It comes back by itself. */
  | { readonly type: 'lapse'; readonly node: NodeId; readonly cuts: readonly Cut[] }
  /** By the root: where copies of this log are kept for whoever holds it (docs/spec/11-recovery.md). */
  | {
      readonly type: 'recovery'
      readonly loginKey: LoginPublicKey
      readonly sealKey: SealPublicKey
      readonly mailbox: MailboxId
    }
  /** By the root, an admin or the node itself: what it is called from now on. */
  | { readonly type: 'rename'; readonly node: NodeId; readonly name: string }
  /** By the root or an admin: what its log folded to, all that this record follows. */
  | { readonly type: 'checkpoint'; readonly digest: Uint8Array }
  /** By the root or an admin: the relays that keep node leases, one or three, and how long those run. */
  | { readonly type: 'witness'; readonly relays: readonly RelayId[]; readonly profile: LeaseProfile }
  /** By the agent's key or its holder under delegation: who may take it over, and what its holder may acknowledge. */
  | ({ readonly type: 'failover'; readonly agent: AgentId } & FailoverPolicy)
  /** By the holder of that term: the nodes without whose word nothing is acknowledged as replicated. It is one of them. */
  | {
      readonly type: 'sync'
      readonly agent: AgentId
      readonly term: RecordHash
      readonly members: readonly NodeId[]
    }

export type RecordType = RecordBody['type']

export type RecordSigner =
  | { readonly type: 'root' }
  | { readonly type: 'node'; readonly node: NodeId }
  | { readonly type: 'agent'; readonly agent: AgentId }

export interface SignedRecord {
  readonly mesh: MeshId
  /** Heads of the log that the signer knew, sorted; empty only for `found`. */
  readonly parents: readonly RecordHash[]
  /** The signer's wall clock; for people to read, and to order concurrent host records. */
  readonly timeMs: number
  readonly signer: RecordSigner
  readonly body: RecordBody
  readonly signature: Signature
  readonly hash: RecordHash
  readonly bytes: Uint8Array
}

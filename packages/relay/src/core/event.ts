import type { ChunkId, MailboxId, MeshId, SlotId, VaultId } from '@sealmesh/protocol/ids'
import type { Frame, PacketAnswer } from '@sealmesh/protocol/wire/frame'
import type { NumberedPacket } from '@sealmesh/protocol/wire/packets'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { VaultSnapshot } from '@sealmesh/protocol/wire/vault'
import type { KeyName } from './key-name.ts'
import type { RelayLimits } from './limits.ts'
import type { Slab } from './slabs.ts'
import type { ConnectionId, Login, LoginRecord, MeshState } from './state.ts'

/** A claim code that its owner has printed and nobody has used: what the file beside the database says. */
export interface ClaimKey {
  readonly id: string
  readonly key: Uint8Array
  readonly expiresMs: number
}

/** What an eviction is about: a whole mesh, or one login of it. */
export type Target =
  | { readonly type: 'mesh'; readonly mesh: MeshId }
  | { readonly type: 'login'; readonly login: KeyName }

/** What the driver tells the core. */
export type RelayEvent =
  | {
      readonly type: 'connected'
      readonly connection: ConnectionId
      readonly address: string
      readonly nonce: Uint8Array
      /** Another relay of the cluster has sent it the challenge with this nonce. */
      readonly isGreeted?: boolean
    }
  /** `claims` are the open ones when the frame is a login that brings a claim, else none. */
  | {
      readonly type: 'frame'
      readonly connection: ConnectionId
      readonly frame: Frame
      readonly claims: readonly ClaimKey[]
      /** What the frame's bytes stand in, where that is used again: what of them is to stay is held or lent. */
      readonly slab?: Slab
    }
  | { readonly type: 'badFrame'; readonly connection: ConnectionId; readonly reason: Reason }
  /** More waits for this connection than a peer that reads could ever cause. */
  | { readonly type: 'overflow'; readonly connection: ConnectionId }
  | { readonly type: 'closed'; readonly connection: ConnectionId }
  /** Durable now, in the order in which they were asked for. */
  | { readonly type: 'persisted'; readonly receipts: readonly number[] }
  | {
      readonly type: 'persistFailed'
      readonly receipts: readonly number[]
      readonly reason: 'DISK_FULL' | 'DISK_FAILED'
    }
  /** What a `read` effect asked for; entries that the disk no longer has are missing. */
  | {
      readonly type: 'read'
      readonly read: number
      readonly connection: ConnectionId
      readonly last: number
      readonly packets: readonly NumberedPacket[]
    }
  /** What a `readChunk` effect asked for; null when the disk has it no more. */
  | {
      readonly type: 'chunkRead'
      readonly connection: ConnectionId
      readonly request: number
      readonly bytes: Uint8Array | null
    }
  /** This relay of a cluster is home of the mesh from now on, or is so no more. */
  | {
      readonly type: 'meshCame'
      readonly mesh: MeshState
      readonly isAdmitted: boolean
      readonly logins: readonly Login[]
      readonly counter: number
      /** What was stored lately, oldest first. */
      readonly repeats: readonly { readonly name: string; readonly at: number; readonly storedMs: number }[]
    }
  | { readonly type: 'meshGone'; readonly mesh: MeshId }
  | { readonly type: 'disk'; readonly trouble: 'DISK_FULL' | 'DISK_FAILED' | null }
  /** A few times a second. */
  | { readonly type: 'tick' }
  /** Every few milliseconds while somebody is over its rate. */
  | { readonly type: 'pace' }
  /** From the relay's owner. */
  | { readonly type: 'limits'; readonly limits: RelayLimits }
  | { readonly type: 'evict'; readonly target: Target; readonly mailboxes: boolean }
  | { readonly type: 'admit'; readonly mesh: MeshId }
  | { readonly type: 'expel'; readonly mesh: MeshId }
  | { readonly type: 'stop' }

/** What the driver does for the core, in order. */
export type Effect =
  | { readonly type: 'send'; readonly connection: ConnectionId; readonly frame: Frame }
  /** Collected over a turn into as few frames as fit. `sinceMs`: when the packet came, in steady time. */
  | {
      readonly type: 'answer'
      readonly connection: ConnectionId
      readonly answer: PacketAnswer
      readonly sinceMs: number
    }
  | { readonly type: 'deliver'; readonly connection: ConnectionId; readonly packet: NumberedPacket }
  /** After what was sent has left, or at once when the peer does not read. */
  | { readonly type: 'close'; readonly connection: ConnectionId; readonly atOnce: boolean }
  | { readonly type: 'welcomed'; readonly connection: ConnectionId }
  | { readonly type: 'pause'; readonly connection: ConnectionId }
  | { readonly type: 'resume'; readonly connection: ConnectionId }
  /** With a receipt: make it durable and say so. Without one: with the next group. */
  | { readonly type: 'persist'; readonly operations: readonly Operation[]; readonly receipt: number | null }
  | {
      readonly type: 'read'
      readonly read: number
      readonly connection: ConnectionId
      readonly mesh: MeshId
      readonly mailbox: MailboxId
      readonly first: number
      readonly last: number
    }
  | {
      readonly type: 'readChunk'
      readonly connection: ConnectionId
      readonly request: number
      readonly mesh: MeshId
      readonly vault: VaultId
      readonly chunk: ChunkId
    }
  /** The code's file may go: the database remembers it. */
  | { readonly type: 'claimSpent'; readonly claim: string }
  | { readonly type: 'note'; readonly note: Note }

/** One change of what is on disk. */
export type Operation =
  | {
      readonly type: 'packet'
      readonly mesh: MeshId
      readonly mailbox: MailboxId
      readonly sequence: number
      readonly expiresMs: number
      /** Is used again once the core has heard that it is durable. */
      readonly packet: Uint8Array
    }
  | {
      readonly type: 'dropPacket'
      readonly mesh: MeshId
      readonly mailbox: MailboxId
      readonly sequence: number
    }
  | { readonly type: 'login'; readonly login: KeyName; readonly record: LoginRecord }
  | { readonly type: 'dropLogin'; readonly login: KeyName }
  /** A count of 0: none. */
  | {
      readonly type: 'lost'
      readonly mesh: MeshId
      readonly mailbox: MailboxId
      readonly count: number
      readonly atMs: number
    }
  | {
      readonly type: 'slot'
      readonly mesh: MeshId
      readonly slot: SlotId
      readonly counter: number
      readonly blob: Uint8Array
    }
  | {
      readonly type: 'vaultChunk'
      readonly mesh: MeshId
      readonly vault: VaultId
      readonly chunk: ChunkId
      readonly bytes: Uint8Array
    }
  | {
      readonly type: 'dropVaultChunks'
      readonly mesh: MeshId
      readonly vault: VaultId
      readonly chunks: readonly ChunkId[]
    }
  /** Whole: these chunks belong to it. */
  | {
      readonly type: 'vaultSnapshot'
      readonly mesh: MeshId
      readonly vault: VaultId
      readonly snapshot: VaultSnapshot
      readonly chunks: readonly { readonly chunk: ChunkId; readonly bytes: number }[]
    }
  | {
      readonly type: 'dropVaultSnapshot'
      readonly mesh: MeshId
      readonly vault: VaultId
      readonly number: number
    }
  | { readonly type: 'mesh'; readonly mesh: MeshId; readonly barred: boolean }
  | { readonly type: 'revoked'; readonly mesh: MeshId; readonly role: 'login' | 'admin'; readonly key: KeyName }
  | { readonly type: 'counter'; readonly mesh: MeshId; readonly counter: number }
  | { readonly type: 'claimSpent'; readonly claim: string }

/** Why a packet left its mailbox unread; evicted by its relay's owner. */
export type DropReason = Reason | 'EVICTED'

/** For logs and metrics. Names are hashed before they are written anywhere; mailboxes are named nowhere. */
export type Note =
  | { readonly event: 'login'; readonly mesh: MeshId; readonly login: KeyName; readonly kind: 'node' | 'invite' }
  /** `stranger`: it had not logged in. */
  | { readonly event: 'goodbye'; readonly reason: Reason; readonly stranger: boolean }
  | { readonly event: 'duplicate'; readonly login: KeyName }
  | { readonly event: 'spilled'; readonly mesh: MeshId; readonly packets: number }
  | { readonly event: 'dropped'; readonly mesh: MeshId; readonly reason: DropReason; readonly packets: number }
  | { readonly event: 'meshAdmitted'; readonly mesh: MeshId }
  | { readonly event: 'meshExpelled'; readonly mesh: MeshId }
  | { readonly event: 'enrolled'; readonly mesh: MeshId; readonly login: KeyName; readonly kind: 'node' | 'invite' }
  | { readonly event: 'revoked'; readonly mesh: MeshId; readonly login: KeyName }

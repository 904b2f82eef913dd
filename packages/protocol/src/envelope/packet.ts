import type { IncarnationId, MailboxId, MeshId, NodeId, PacketId, RecordHash } from '../ids.ts'
import type { SealPublicKey } from '../keys.ts'

/** All that a relay sees of a packet. */
export interface PacketHeader {
  readonly id: PacketId
  readonly expiresMs: number
  readonly recipients: readonly { readonly mailbox: MailboxId; readonly box: Uint8Array }[]
  /** Where the header ends and the nonce and body begin. */
  readonly bodyOffset: number
}

/** What a payload is for. `control` is sync that carries nothing of a document, and has a size of its own. */
export type PacketKind = 'sync' | 'control' | 'message'

/** The inside of a packet, after every check but the ones that need state (sequence, expiry). */
export interface OpenedPacket {
  readonly id: PacketId
  readonly mesh: MeshId
  readonly kind: PacketKind
  readonly sender: NodeId
  readonly incarnation: IncarnationId
  /** Per (sender incarnation, recipient), from 1. */
  readonly sequence: number
  readonly expiresMs: number
  readonly logHeads: readonly RecordHash[]
  readonly recipients: readonly { readonly node: NodeId; readonly prekey: SealPublicKey }[]
  readonly payload: Uint8Array
}

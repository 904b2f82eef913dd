import { equalBytes } from '../bytes.ts'
import type { MailboxId, MeshId, NodeId } from '../ids.ts'
import { type KeyPair, NONCE_BYTES, type SealPublicKey, type SignPublicKey } from '../keys.ts'
import { err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import type { BoxCache, OpenedBox } from './box-cache.ts'
import { type HeaderError, readPacketHeader } from './header.ts'
import { headerHash } from './header-writer.ts'
import { decodeInside } from './inside.ts'
import type { OpenedPacket } from './packet.ts'
import { commitmentTo, signedMessage } from './seal.ts'

/** Each failure is its own: none of them says that a packet was damaged when a key is missing, or the reverse. */
export type OpenError =
  | HeaderError
  /** No recipient of this packet is this node. */
  | { code: 'PACKET_NOT_FOR_US' }
  /** Sealed to a prekey that this node does not have, or has destroyed. */
  | { code: 'PACKET_BOX_CLOSED' }
  /** Changed on the way, or sealed by nobody who knew the content key. */
  | { code: 'PACKET_CORRUPT' }
  /** Its sender encrypted something that is no packet. */
  | { code: 'PACKET_INSIDE_MALFORMED' }
  /** Not in our log. The log heads that it names may say more; nothing of it is proven. */
  | { code: 'PACKET_SENDER_UNKNOWN'; sender: NodeId }
  | { code: 'PACKET_SIGNATURE'; sender: NodeId }
  /** Signed for other recipients or another prekey: somebody passed it on (`01_env_unbound`). */
  | { code: 'PACKET_RECIPIENT_SWAPPED'; sender: NodeId }
  | { code: 'PACKET_KEY_COMMITMENT'; sender: NodeId }

export interface OpenContext {
  readonly mesh: MeshId
  readonly node: NodeId
  /** Where packets for this node may have been sent: one for each day. */
  readonly mailboxes: ReadonlySet<MailboxId>
  /** Private halves that still live, newest first: the likeliest is tried first. */
  readonly prekeys: readonly KeyPair<SealPublicKey, 'seal'>[]
  readonly signKeyOf: (node: NodeId) => SignPublicKey | undefined
  readonly boxCache?: BoxCache
}

/**
 * Checks in the order of docs/spec/04-packets.md §6. Two checks need memory and a clock and are the caller's:
 * the sequence (`ReplayWindow`) and the expiry. Never throws. The payload shares no memory with `bytes`.
 */
export function openPacket(bytes: Uint8Array, context: OpenContext, sodium: Sodium): Result<OpenedPacket, OpenError> {
  const read = readPacketHeader(bytes)
  if (!read.ok) return read
  const header = read.value

  const index = header.recipients.findIndex(({ mailbox }) => context.mailboxes.has(mailbox))
  const recipient = header.recipients[index]
  if (recipient === undefined) return err({ code: 'PACKET_NOT_FOR_US' })

  const opened = context.boxCache?.get(recipient.box) ?? openBox(recipient.box, context.prekeys, sodium)
  if (opened === undefined) return err({ code: 'PACKET_BOX_CLOSED' })

  const hash = headerHash(bytes.subarray(0, header.bodyOffset), sodium)
  const nonce = bytes.subarray(header.bodyOffset, header.bodyOffset + NONCE_BYTES)
  const body = bytes.subarray(header.bodyOffset + NONCE_BYTES)
  const padded = sodium.decrypt(body, hash, nonce, opened.contentKey)
  if (padded === undefined) return err({ code: 'PACKET_CORRUPT' })

  const decoded = decodeInside(padded)
  if (!decoded.ok) return err({ code: 'PACKET_INSIDE_MALFORMED' })
  const { inside, signed, signature } = decoded.value
  const { sender } = inside

  const signKey = context.signKeyOf(sender)
  if (signKey === undefined) return err({ code: 'PACKET_SENDER_UNKNOWN', sender })
  if (!sodium.verify(signature, signedMessage(context.mesh, hash, signed, sodium), signKey))
    return err({ code: 'PACKET_SIGNATURE', sender })

  const bound = inside.recipients[index]
  if (
    bound === undefined ||
    inside.recipients.length !== header.recipients.length ||
    bound.node !== context.node ||
    !equalBytes(bound.prekey, opened.prekey)
  )
    return err({ code: 'PACKET_RECIPIENT_SWAPPED', sender })
  if (!equalBytes(inside.commitment, commitmentTo(opened.contentKey, sodium)))
    return err({ code: 'PACKET_KEY_COMMITMENT', sender })

  // Only a box that led to a member's signed words is worth remembering: nobody else can fill the cache.
  context.boxCache?.keep(recipient.box, opened)
  return ok({
    id: header.id,
    mesh: context.mesh,
    kind: inside.kind,
    sender,
    incarnation: inside.incarnation,
    sequence: bound.sequence,
    expiresMs: header.expiresMs,
    logHeads: inside.logHeads,
    recipients: inside.recipients,
    payload: inside.payload,
  })
}

function openBox(
  box: Uint8Array,
  prekeys: readonly KeyPair<SealPublicKey, 'seal'>[],
  sodium: Sodium,
): OpenedBox | undefined {
  for (const prekey of prekeys) {
    const contentKey = sodium.openBox(box, prekey)
    if (contentKey !== undefined) return { contentKey, prekey: prekey.publicKey }
  }
  return undefined
}

import { toHex } from '../bytes.ts'
import type { MailboxId, PacketId } from '../ids.ts'
import { AEAD_TAG_BYTES, CONTENT_KEY_BYTES, HASH_BYTES, NONCE_BYTES, SEALED_BOX_EXTRA_BYTES } from '../keys.ts'
import { PACKET_BYTES_MAX, PACKET_RECIPIENTS_MAX, PADDING_FLOOR_BYTES } from '../limits.ts'
import { err, ok, type Result } from '../result.ts'
import { PACKET_VERSION } from '../version.ts'
import type { PacketHeader } from './packet.ts'

/**
 * The half of a packet that a relay sees (docs/spec/04-packets.md §2). Nothing here can open anything:
 *
 *   version 1B | packet id 16B | expiry 6B | recipient count 1B | recipients: mailbox 32B, box 80B each
 *   nonce 24B | body to the end
 *
 * Every field has one place and one form, so that a relay finds a recipient without decoding.
 */
export const PACKET_ID_BYTES = 16
/** Unix milliseconds, big-endian: enough until the year 10889. */
export const EXPIRY_BYTES = 6
export const EXPIRES_MS_MAX = 2 ** (8 * EXPIRY_BYTES) - 1
export const BOX_BYTES = CONTENT_KEY_BYTES + SEALED_BOX_EXTRA_BYTES
export const PACKET_ID_AT = 1
const EXPIRY_AT = PACKET_ID_AT + PACKET_ID_BYTES
const COUNT_AT = EXPIRY_AT + EXPIRY_BYTES
const RECIPIENTS_AT = COUNT_AT + 1
const RECIPIENT_BYTES = HASH_BYTES + BOX_BYTES
const BODY_BYTES_MIN = NONCE_BYTES + PADDING_FLOOR_BYTES + AEAD_TAG_BYTES
export const PACKET_BYTES_MIN = RECIPIENTS_AT + RECIPIENT_BYTES + BODY_BYTES_MIN

export type HeaderError =
  | { code: 'PACKET_SIZE'; bytes: number }
  | { code: 'PACKET_VERSION'; version: number | undefined }
  | { code: 'PACKET_MALFORMED' }

/** Untrusted bytes in. Never throws. The boxes share memory with `bytes`. */
export function readPacketHeader(bytes: Uint8Array): Result<PacketHeader, HeaderError> {
  const route = readPacketRoute(bytes, mailboxAt)
  if (!route.ok) return route
  const { expiresMs, mailboxes } = route.value
  const bodyOffset = RECIPIENTS_AT + mailboxes.length * RECIPIENT_BYTES
  const recipients = mailboxes.map((mailbox, i) => {
    const at = RECIPIENTS_AT + i * RECIPIENT_BYTES
    return { mailbox, box: bytes.subarray(at + HASH_BYTES, at + RECIPIENT_BYTES) }
  })
  return ok({ id: packetIdAt(bytes), expiresMs, recipients, bodyOffset })
}

/** What a relay needs of a header. */
export interface PacketRoute {
  readonly expiresMs: number
  readonly mailboxes: readonly MailboxId[]
}

/**
 * Untrusted bytes in. Never throws. `nameAt` gives the id of the 32 bytes at a place: a relay reads a few ids again and
 * again, and knows them without making a text of each.
 */
export function readPacketRoute(
  bytes: Uint8Array,
  nameAt: (bytes: Uint8Array, at: number) => MailboxId,
): Result<PacketRoute, HeaderError> {
  if (bytes.length < PACKET_BYTES_MIN || bytes.length > PACKET_BYTES_MAX)
    return err({ code: 'PACKET_SIZE', bytes: bytes.length })
  if (bytes[0] !== PACKET_VERSION) return err({ code: 'PACKET_VERSION', version: bytes[0] })
  const count = bytes[COUNT_AT] ?? 0
  const bodyOffset = RECIPIENTS_AT + count * RECIPIENT_BYTES
  if (count < 1 || count > PACKET_RECIPIENTS_MAX || bytes.length < bodyOffset + BODY_BYTES_MIN)
    return err({ code: 'PACKET_MALFORMED' })
  const mailboxes: MailboxId[] = []
  let previous = ''
  for (let at = RECIPIENTS_AT; at < bodyOffset; at += RECIPIENT_BYTES) {
    const mailbox = nameAt(bytes, at)
    // Sorted and without repeats: nobody gets a packet twice, and the order tells nothing.
    if (mailbox <= previous) return err({ code: 'PACKET_MALFORMED' })
    previous = mailbox
    mailboxes.push(mailbox)
  }
  return ok({ expiresMs: readExpiry(bytes), mailboxes })
}

/** Of bytes whose header has been read. */
export const packetIdAt = (bytes: Uint8Array): PacketId => toHex(bytes.subarray(PACKET_ID_AT, EXPIRY_AT)) as PacketId

const mailboxAt = (bytes: Uint8Array, at: number): MailboxId => toHex(bytes.subarray(at, at + HASH_BYTES)) as MailboxId

function readExpiry(bytes: Uint8Array): number {
  let expiresMs = 0
  for (let at = EXPIRY_AT; at < COUNT_AT; at++) expiresMs = expiresMs * 256 + (bytes[at] ?? 0)
  return expiresMs
}

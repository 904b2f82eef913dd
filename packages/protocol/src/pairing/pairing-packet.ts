import { concatBytes, decode, encode, bytesLeft, readBytes, readFixed, writeBytes } from '../bytes.ts'
import { readPacketHeader, BOX_BYTES } from '../envelope/header.ts'
import { encodeHeader, headerHash } from '../envelope/header-writer.ts'
import { padme } from '../envelope/padding.ts'
import type { MailboxId, PacketId } from '../ids.ts'
import { NONCE_BYTES } from '../keys.ts'
import type { Secret } from '../keys.ts'
import { PACKET_BYTES_MAX } from '../limits.ts'
import type { Sodium } from '../sodium.ts'
import { decodeMessage, encodeMessage, type PairingMessage } from './message.ts'
import { toHex } from '../bytes.ts'

const PACKET_ID_BYTES = 16

/**
 * A pairing message as a packet like any other, to a relay: one recipient, whose box is random bytes, and a padded
 * body, here under a key of the link (docs/spec/05-pairing.md §2). `random` gives that many random bytes.
 */
export function sealPairingPacket(
  message: PairingMessage,
  to: { readonly mailbox: MailboxId; readonly key: Secret<'pairing'>; readonly expiresMs: number },
  random: (bytes: number) => Uint8Array,
  sodium: Sodium,
): Uint8Array {
  const id = toHex(random(PACKET_ID_BYTES)) as PacketId
  const header = encodeHeader(id, to.expiresMs, [{ mailbox: to.mailbox, box: random(BOX_BYTES) }])
  const content = encode((writer) => writeBytes(writer, encodeMessage(message)))
  const padded = new Uint8Array(padme(content.length))
  padded.set(content)
  const nonce = random(NONCE_BYTES)
  return concatBytes(header, nonce, sodium.encrypt(padded, headerHash(header, sodium), nonce, to.key.expose()))
}

/** Undefined for everything that is not a message under this key to this mailbox: most packets are not. Never throws. */
export function openPairingPacket(
  bytes: Uint8Array,
  at: { readonly mailbox: MailboxId; readonly key: Secret<'pairing'> },
  sodium: Sodium,
): PairingMessage | undefined {
  const header = readPacketHeader(bytes)
  if (!header.ok || header.value.recipients.length !== 1 || header.value.recipients[0]?.mailbox !== at.mailbox)
    return undefined
  const { bodyOffset } = header.value
  const bodyAt = bodyOffset + NONCE_BYTES
  const padded = sodium.decrypt(
    bytes.subarray(bodyAt),
    headerHash(bytes.subarray(0, bodyOffset), sodium),
    bytes.subarray(bodyOffset, bodyAt),
    at.key.expose(),
  )
  if (padded === undefined) return undefined
  const content = decode(padded, (reader) => {
    const message = readBytes(reader, PACKET_BYTES_MAX)
    readFixed(reader, bytesLeft(reader)) // Padding.
    return message
  })
  if (!content.ok) return undefined
  const message = decodeMessage(content.value)
  return message.ok ? message.value : undefined
}

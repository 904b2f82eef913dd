import { encode, fromHex, writeByte, writeFixed, writeId } from '../bytes.ts'
import type { MailboxId, PacketId } from '../ids.ts'
import { HASH_BYTES } from '../keys.ts'
import { PACKET_RECIPIENTS_MAX } from '../limits.ts'
import { assert } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { PACKET_VERSION } from '../version.ts'
import { BOX_BYTES, EXPIRES_MS_MAX, EXPIRY_BYTES, PACKET_ID_BYTES } from './header.ts'

/** Writes what `readPacketHeader` reads. `recipients` are sorted by mailbox, without repeats. */
export function encodeHeader(
  id: PacketId,
  expiresMs: number,
  recipients: readonly { readonly mailbox: MailboxId; readonly box: Uint8Array }[],
): Uint8Array {
  assert(recipients.length >= 1 && recipients.length <= PACKET_RECIPIENTS_MAX, 'a packet has 1 to 32 recipients')
  assert(id.length === 2 * PACKET_ID_BYTES, 'a packet id has 16 bytes')
  assert(Number.isInteger(expiresMs) && expiresMs >= 0 && expiresMs <= EXPIRES_MS_MAX, 'an expiry fits 6 bytes')
  return encode((writer) => {
    writeByte(writer, PACKET_VERSION)
    writeId(writer, id)
    for (let shift = EXPIRY_BYTES - 1; shift >= 0; shift--)
      writeByte(writer, Math.floor(expiresMs / 256 ** shift) % 256)
    writeByte(writer, recipients.length)
    let previous = ''
    for (const { mailbox, box } of recipients) {
      assert(mailbox > previous && mailbox.length === 2 * HASH_BYTES, 'recipients are sorted by mailbox')
      assert(box.length === BOX_BYTES, 'a box has 80 bytes')
      previous = mailbox
      writeFixed(writer, fromHex(mailbox))
      writeFixed(writer, box)
    }
  })
}

/** What ties body and signature to their header: associated data of the one, a part of the other. */
export const headerHash = (header: Uint8Array, sodium: Sodium): Uint8Array => sodium.hash([TAGS.packetHeader, header])

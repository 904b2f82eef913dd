import { fromHex } from '@sealmesh/protocol/bytes'
import { PACKET_BYTES_MIN } from '@sealmesh/protocol/envelope/header'
import type { MailboxId } from '@sealmesh/protocol/ids'
import { PACKET_VERSION } from '@sealmesh/protocol/version'

/** For tests: what a relay would take for a packet to one mailbox, with a number as its id. */
export function packetTo(mailbox: MailboxId, number: number, bytes = PACKET_BYTES_MIN): Uint8Array {
  const packet = new Uint8Array(bytes)
  packet[0] = PACKET_VERSION
  new DataView(packet.buffer).setUint32(1, number)
  packet[23] = 1
  packet.set(fromHex(mailbox), 24)
  return packet
}

export const mailboxOf = (byte: number): MailboxId => byte.toString(16).padStart(2, '0').repeat(32) as MailboxId

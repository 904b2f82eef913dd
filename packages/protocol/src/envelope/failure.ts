import type { NodeId } from '../ids.ts'
import type { OpenError } from './open.ts'

/**
 * Everything for which a packet is not used, in the order of the checks (docs/spec/04-packets.md §6). Whoever sent it
 * learns none of it: the relay is told the same of every packet that was looked at.
 */
export type PacketFailure =
  | OpenError
  /** Nothing that we hold opens it, and it is as old as a prekey of ours that was destroyed on time. */
  | { code: 'PACKET_PREKEY_EXPIRED' }
  | { code: 'PACKET_SEEN' }
  | { code: 'PACKET_EXPIRED' }
  | { code: 'PACKET_SENDER_REMOVED'; sender: NodeId }
  | { code: 'PACKET_PAYLOAD_MALFORMED'; sender: NodeId }

export type PacketFailureCode = PacketFailure['code']

interface Weight {
  /** Whether the sender that is named has signed the packet; else the name is only what the packet says. */
  readonly proven: boolean
  /** Happens to honest machines too: said when asked, and no reason to warn. */
  readonly harmless: boolean
  readonly means: string
}

/** A failure without a row does not compile. */
export const packetFailures = {
  PACKET_SIZE: { proven: false, harmless: false, means: 'no packet has this size' },
  PACKET_VERSION: { proven: false, harmless: false, means: 'made by another version of Sealmesh, or no packet' },
  PACKET_MALFORMED: { proven: false, harmless: false, means: 'its header is none' },
  PACKET_NOT_FOR_US: { proven: false, harmless: false, means: 'the relay delivered what is for another mailbox' },
  PACKET_BOX_CLOSED: {
    proven: false,
    harmless: true,
    means: 'sealed to a key that this machine does not have; a new one has been announced',
  },
  PACKET_PREKEY_EXPIRED: {
    proven: false,
    harmless: true,
    means: 'older than the keys that are kept; what it said is asked for again',
  },
  PACKET_CORRUPT: { proven: false, harmless: false, means: 'changed on the way' },
  PACKET_INSIDE_MALFORMED: { proven: false, harmless: false, means: 'whoever sealed it sealed no packet' },
  PACKET_SENDER_UNKNOWN: {
    proven: false,
    harmless: true,
    means: 'from a machine that our records do not name yet; looked at again when they do',
  },
  PACKET_SIGNATURE: { proven: false, harmless: false, means: 'not signed by the machine that it names' },
  PACKET_RECIPIENT_SWAPPED: { proven: true, harmless: false, means: 'said to another machine, and passed on to us' },
  PACKET_KEY_COMMITMENT: { proven: true, harmless: false, means: 'could be read as something else by others' },
  PACKET_SEEN: { proven: true, harmless: true, means: 'a second copy' },
  PACKET_EXPIRED: { proven: true, harmless: true, means: 'too late' },
  PACKET_SENDER_REMOVED: { proven: true, harmless: true, means: 'from a machine that was removed from the mesh' },
  PACKET_PAYLOAD_MALFORMED: {
    proven: true,
    harmless: false,
    means: 'signed by a member, and nothing that can be read',
  },
} as const satisfies Record<PacketFailureCode, Weight>

export const isPacketFailureCode = (code: string): code is PacketFailureCode => Object.hasOwn(packetFailures, code)

import type { PacketFailure } from '@sealmesh/protocol/envelope/failure'

/** Each is a record that every node keeps for ever. */
const NEW_PREKEY_EVERY_MS = 60 * 60_000
/** A relay can deliver such packets as often as it likes, and each question is a packet to every peer. */
const ASK_EVERY_MS = 60_000

export interface UnopenedDeps {
  /** Whether it was a packet of a pairing. */
  readonly isPairing: (packet: Uint8Array) => boolean
  /** Whether it was records in a copy of the log, for us. */
  readonly isLogCopy: (packet: Uint8Array) => boolean
  /** There are several relays, and what two of them kept comes twice. */
  readonly comesTwice: () => boolean
  readonly keep: (packet: Uint8Array, failure: PacketFailure) => void
  readonly say: (code: string) => void
  /** The files of our prekeys were lost, or this home is a copy. */
  readonly newPrekey: () => void
  /** Compares heads with everybody now: nobody knows who sealed what cannot be opened. */
  readonly askAgain: () => void
  readonly wantRecords: () => void
  readonly monotonicMs: () => number
}

/** What is done about a packet that is not used. Nothing of it holds up another, and the relay hears the same of all. */
export function unopenedBy(deps: UnopenedDeps): (packet: Uint8Array, failure: PacketFailure) => void {
  const lastMs = new Map<() => void, number>()
  const atMost = (everyMs: number, act: () => void): void => {
    const nowMs = deps.monotonicMs()
    if (nowMs - (lastMs.get(act) ?? Number.NEGATIVE_INFINITY) < everyMs) return
    lastMs.set(act, nowMs)
    act()
  }
  return (packet, failure) => {
    // Who is being paired writes to a mailbox of its own, that is none of those where packets are opened.
    if (failure.code === 'PACKET_NOT_FOR_US' && deps.isPairing(packet)) return
    // Its body is bound by another tag than that of signed packets.
    if (failure.code === 'PACKET_CORRUPT' && deps.isLogCopy(packet)) return
    if (failure.code === 'PACKET_SEEN' && deps.comesTwice()) return
    deps.keep(packet, failure)
    deps.say(failure.code)
    switch (failure.code) {
      case 'PACKET_BOX_CLOSED':
        return atMost(NEW_PREKEY_EVERY_MS, deps.newPrekey)
      case 'PACKET_PREKEY_EXPIRED':
        return atMost(ASK_EVERY_MS, deps.askAgain)
      case 'PACKET_SENDER_UNKNOWN':
        return atMost(ASK_EVERY_MS, deps.wantRecords)
      case 'PACKET_SIZE':
      case 'PACKET_VERSION':
      case 'PACKET_MALFORMED':
      case 'PACKET_NOT_FOR_US':
      case 'PACKET_CORRUPT':
      case 'PACKET_INSIDE_MALFORMED':
      case 'PACKET_SIGNATURE':
      case 'PACKET_RECIPIENT_SWAPPED':
      case 'PACKET_KEY_COMMITMENT':
      case 'PACKET_SEEN':
      case 'PACKET_EXPIRED':
      case 'PACKET_SENDER_REMOVED':
      case 'PACKET_PAYLOAD_MALFORMED':
        return
    }
  }
}

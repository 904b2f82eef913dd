import type { FailureCode } from '../errors.ts'
import { Malformed, type Reader, readByte } from '../bytes.ts'

/**
 * The codes that cross the wire, one byte each: why a relay says goodbye, refuses a packet or sends a notice.
 * Numbers below 16 are not reasons, so that an answer's outcomes fit the same byte. Add, never renumber.
 */
export const REASON_BYTES = {
  HELLO_TIMEOUT: 16,
  VERSION_MISMATCH: 17,
  FRAME_SIZE: 18,
  FRAME_MALFORMED: 19,
  FRAME_UNEXPECTED: 20,
  LOGIN_SIGNATURE: 21,
  TOKEN_INVALID: 22,
  TOKEN_EXPIRED: 23,
  CLAIM_REQUIRED: 24,
  CLAIM_INVALID: 25,
  MESH_NOT_ADMITTED: 26,
  NODE_REVOKED: 27,
  DUPLICATE_LOGIN: 28,
  TOO_MANY_LOGINS: 29,
  READER_STALLED: 30,
  RELAY_RESTARTING: 31,
  RELAY_CLOSED: 32,
  DISK_FULL: 33,
  DISK_FAILED: 34,
  QUOTA_BYTES: 35,
  QUOTA_PACKETS: 36,
  QUOTA_NODES: 37,
  PACKET_EXPIRED: 38,
  QUOTA_MAILBOXES: 39,
  RECIPIENT_FORBIDDEN: 40,
  NOT_ADMIN: 41,
  HOME_COPIED: 42,
  QUOTA_SLOTS: 43,
  QUOTA_VAULT: 44,
  VAULT_INCOMPLETE: 45,
  SLOWED: 46,
} as const satisfies Partial<Record<FailureCode, number>>

export type Reason = keyof typeof REASON_BYTES

const REASON_OF_BYTE: ReadonlyMap<number, Reason> = new Map(
  Object.entries(REASON_BYTES).map(([reason, byte]) => [byte, reason as Reason]),
)

export const reasonOfByte = (byte: number): Reason | undefined => REASON_OF_BYTE.get(byte)

export function readReason(reader: Reader): Reason {
  const reason = REASON_OF_BYTE.get(readByte(reader))
  if (reason === undefined) throw new Malformed()
  return reason
}

/** Zero stands for no reason: all is well. */
export function readReasonOrNone(reader: Reader): Reason | null {
  const byte = readByte(reader)
  if (byte === 0) return null
  const reason = REASON_OF_BYTE.get(byte)
  if (reason === undefined) throw new Malformed()
  return reason
}

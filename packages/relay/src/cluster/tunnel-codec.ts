import { toHex } from '@sealmesh/protocol/bytes'
import { err, ok, type Result } from '@sealmesh/protocol/result'

/**
 * What relays of a cluster tell each other in one NATS message (docs/spec/15-cluster.md §5): records of many
 * connections, gathered over a loop turn. Integers are big-endian.
 *
 *   message = version 1B (1) | sender 16B | number 4B, from 1 for each receiver and lane | records
 *   record  = kind 1B | link 4B, numbered by the front | length 4B | bytes
 */
export const TUNNEL_VERSION = 1
export const MESSAGE_HEAD_BYTES = 21
export const RECORD_HEAD_BYTES = 9
/**
 * Beyond it another message begins. A receiver copies a message that does not come in one read of its socket, and few of
 * this size do not, while larger ones hardly save anything. One record may be larger by itself, as a node's frame may;
 * NATS takes 1 MB.
 */
export const MESSAGE_BYTES_MAX = 16_384

/** F: front, H: home. The second column is the lane. */
export const KINDS = {
  /** F → H, control: mesh 32B | nonce 32B | length 1B | address | the login's frame. */
  open: 1,
  /** H → F, control: it is taken on; or it is not this instance's, whose connection the front keeps. */
  opened: 2,
  refused: 3,
  /** F → H, bulk: one message of the node. */
  up: 4,
  /** H → F, bulk: bytes for the node's socket. */
  down: 5,
  /** H → F, bulk: it has logged in. */
  welcomed: 6,
  /** Bulk, after all that came before it. */
  endUp: 7,
  endDown: 8,
  /** H → F and F → H, control, 4B: so many bytes have left this side's memory. */
  creditUp: 9,
  creditDown: 10,
  /** Control, link 0, mesh 32B: its home has been taken. */
  taken: 11,
} as const

export type Kind = (typeof KINDS)[keyof typeof KINDS]

export interface TunnelRecord {
  readonly kind: Kind
  readonly link: number
  /** Of a decoded one: shares memory with the message. */
  readonly bytes: Uint8Array
}

export interface TunnelMessage {
  /** The instance's id, hex. */
  readonly sender: string
  readonly number: number
  readonly records: readonly TunnelRecord[]
}

export type TunnelError = { readonly code: 'VERSION_MISMATCH' | 'FRAME_MALFORMED' }

const KIND_SET: ReadonlySet<number> = new Set(Object.values(KINDS))

/** Never throws. */
export function decodeTunnelMessage(bytes: Uint8Array): Result<TunnelMessage, TunnelError> {
  if (bytes[0] !== TUNNEL_VERSION) return err({ code: 'VERSION_MISMATCH' })
  if (bytes.length < MESSAGE_HEAD_BYTES) return err({ code: 'FRAME_MALFORMED' })
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const records: TunnelRecord[] = []
  let at = MESSAGE_HEAD_BYTES
  while (at < bytes.length) {
    if (bytes.length - at < RECORD_HEAD_BYTES) return err({ code: 'FRAME_MALFORMED' })
    const kind = view.getUint8(at)
    const link = view.getUint32(at + 1)
    const length = view.getUint32(at + 5)
    at += RECORD_HEAD_BYTES
    if (!KIND_SET.has(kind) || length > bytes.length - at) return err({ code: 'FRAME_MALFORMED' })
    records.push({ kind: kind as Kind, link, bytes: bytes.subarray(at, at + length) })
    at += length
  }
  return ok({ sender: toHex(bytes.subarray(1, 17)), number: view.getUint32(17), records })
}

/** `sender`: 16 B. */
export function encodeTunnelMessage(sender: Uint8Array, number: number, records: readonly TunnelRecord[]): Uint8Array {
  let length = MESSAGE_HEAD_BYTES
  for (const { bytes } of records) length += RECORD_HEAD_BYTES + bytes.length
  const message = Buffer.allocUnsafe(length) // Every byte of it is written below.
  const view = new DataView(message.buffer, message.byteOffset, length)
  message[0] = TUNNEL_VERSION
  message.set(sender, 1)
  view.setUint32(17, number)
  let at = MESSAGE_HEAD_BYTES
  for (const { kind, link, bytes } of records) {
    view.setUint8(at, kind)
    view.setUint32(at + 1, link)
    view.setUint32(at + 5, bytes.length)
    message.set(bytes, at + RECORD_HEAD_BYTES)
    at += RECORD_HEAD_BYTES + bytes.length
  }
  return message
}

/** What the home needs to know of a connection that a front has greeted. */
export interface OpenLink {
  readonly mesh: Uint8Array
  readonly nonce: Uint8Array
  readonly address: string
  readonly login: Uint8Array
}

export function encodeOpenLink({ mesh, nonce, address, login }: OpenLink): Uint8Array {
  const name = new TextEncoder().encode(address)
  return Buffer.concat([mesh, nonce, Uint8Array.of(name.length), name, login])
}

/** Never throws. What it gives shares memory with `bytes`. */
export function decodeOpenLink(bytes: Uint8Array): Result<OpenLink, TunnelError> {
  const length = bytes[64]
  if (length === undefined || bytes.length < 65 + length) return err({ code: 'FRAME_MALFORMED' })
  return ok({
    mesh: bytes.subarray(0, 32),
    nonce: bytes.subarray(32, 64),
    address: new TextDecoder().decode(bytes.subarray(65, 65 + length)),
    login: bytes.subarray(65 + length),
  })
}

/** The records of one turn in as few messages as NATS takes, in order. */
export function inMessages(records: readonly TunnelRecord[]): TunnelRecord[][] {
  const messages: TunnelRecord[][] = []
  let room = 0
  for (const record of records) {
    const length = RECORD_HEAD_BYTES + record.bytes.length
    if (messages.length === 0 || length > room) {
      messages.push([])
      room = MESSAGE_BYTES_MAX - MESSAGE_HEAD_BYTES
    }
    messages.at(-1)?.push(record)
    room -= length
  }
  return messages
}

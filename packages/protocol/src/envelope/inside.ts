import {
  bytesLeft,
  decode,
  encode,
  Malformed,
  type Reader,
  readByte,
  readBytes,
  readFixed,
  readId,
  readList,
  readUint,
  type Writer,
  writeByte,
  writeBytes,
  writeFixed,
  writeId,
  writeList,
  writeUint,
} from '../bytes.ts'
import type { IncarnationId, NodeId, RecordHash } from '../ids.ts'
import { HASH_BYTES, SEAL_PUBLIC_KEY_BYTES, type SealPublicKey, SIGNATURE_BYTES, type Signature } from '../keys.ts'
import { LOG_HEADS_MAX, PACKET_RECIPIENTS_MAX, PAYLOAD_BYTES_MAX } from '../limits.ts'
import type { Result } from '../result.ts'
import type { PacketKind } from './packet.ts'
import { paddedBytes } from './padding.ts'

/**
 * What the body of a packet decrypts to (docs/spec/04-packets.md §3):
 *
 *   commitment 32B | kind 1B | sender 32B | incarnation 16B | log heads: count, 32B each
 *   recipients: count, then node 32B, prekey 32B, sequence uint each | payload: length, bytes
 *   signature 64B | zeros up to the padded size
 *
 * The commitment comes first so that it lies at one place under every key: a body that opened under two keys would
 * need two keys whose commitment and key stream collide there.
 */
export interface Inside {
  readonly commitment: Uint8Array
  readonly kind: PacketKind
  readonly sender: NodeId
  readonly incarnation: IncarnationId
  readonly logHeads: readonly RecordHash[]
  /** In the order of the header's. */
  readonly recipients: readonly BoundRecipient[]
  readonly payload: Uint8Array
}

export interface BoundRecipient {
  readonly node: NodeId
  readonly prekey: SealPublicKey
  readonly sequence: number
}

const KIND_BYTE = { sync: 0x01, message: 0x02, control: 0x03 } as const satisfies Record<PacketKind, number>
const INCARNATION_BYTES = 16

/** Everything that is signed of the inside. */
export const encodeInside = (inside: Inside): Uint8Array => encode((writer) => writeInside(writer, inside))

function writeInside(writer: Writer, inside: Inside): void {
  writeFixed(writer, inside.commitment)
  writeByte(writer, KIND_BYTE[inside.kind])
  writeId(writer, inside.sender)
  writeId(writer, inside.incarnation)
  writeList(writer, inside.logHeads, (head) => writeId(writer, head))
  writeList(writer, inside.recipients, ({ node, prekey, sequence }) => {
    writeId(writer, node)
    writeFixed(writer, prekey)
    writeUint(writer, sequence)
  })
  writeBytes(writer, inside.payload)
}

/** The signed part, its signature, and zeros up to the next padded size. */
export function padInside(signed: Uint8Array, signature: Signature, kind: PacketKind = 'sync'): Uint8Array {
  const padded = new Uint8Array(paddedBytes(kind, signed.length + SIGNATURE_BYTES))
  padded.set(signed)
  padded.set(signature, signed.length)
  return padded
}

export interface ReadInside {
  readonly inside: Inside
  readonly signed: Uint8Array
  readonly signature: Signature
}

/** Bytes that somebody encrypted to us: a member, or whoever knows our prekey. Never throws. Shares memory. */
export const decodeInside = (padded: Uint8Array): Result<ReadInside, { code: 'BYTES_MALFORMED' }> =>
  decode(padded, (reader) => {
    const inside = readInside(reader)
    const signedBytes = padded.length - bytesLeft(reader)
    const signature = readFixed(reader, SIGNATURE_BYTES) as Signature
    const padding = readFixed(reader, bytesLeft(reader))
    // One form only: padding that may hold something is a place to hide it.
    if (padded.length !== paddedBytes(inside.kind, signedBytes + SIGNATURE_BYTES) || padding.some((byte) => byte !== 0))
      throw new Malformed()
    return { inside, signed: padded.subarray(0, signedBytes), signature }
  })

const readInside = (reader: Reader): Inside => ({
  commitment: readFixed(reader, HASH_BYTES),
  kind: readKind(reader),
  sender: readId(reader, HASH_BYTES),
  incarnation: readId(reader, INCARNATION_BYTES),
  logHeads: readList(reader, LOG_HEADS_MAX, () => readId<RecordHash>(reader, HASH_BYTES)),
  recipients: readList(reader, PACKET_RECIPIENTS_MAX, () => ({
    node: readId<NodeId>(reader, HASH_BYTES),
    prekey: readFixed(reader, SEAL_PUBLIC_KEY_BYTES) as SealPublicKey,
    sequence: readSequence(reader),
  })),
  payload: readBytes(reader, PAYLOAD_BYTES_MAX),
})

function readKind(reader: Reader): PacketKind {
  switch (readByte(reader)) {
    case KIND_BYTE.sync:
      return 'sync'
    case KIND_BYTE.message:
      return 'message'
    case KIND_BYTE.control:
      return 'control'
    default:
      throw new Malformed()
  }
}

function readSequence(reader: Reader): number {
  const sequence = readUint(reader)
  if (sequence < 1) throw new Malformed()
  return sequence
}

import { decode, encode, readByte, readFixed, readUint, bytesLeft, writeByte, writeFixed, writeUint } from '../bytes.ts'
import { PAYLOAD_BYTES_MAX } from '../limits.ts'
import { err, ok, type Result } from '../result.ts'
import type { PayloadError } from './payload.ts'

/**
 * What a sync packet's payload is on the wire (docs/spec/08-sync.md §1):
 *
 *   0x00 items
 *   0x01 length of the items | the items, deflated (RFC 1951)
 */
const PLAIN = 0x00
const DEFLATED = 0x01
/**
 * Only what is large is compressed. A length after compression tells something of the content, and in a small packet
 * with one write beside another's it could be asked about again and again; padding hides less of a large one.
 */
export const DEFLATE_BYTES_MIN = 16_384

/** RFC 1951, by whoever has it: the protocol brings none along. */
export interface Deflater {
  /** Undefined when it is not worth trying. */
  deflate(bytes: Uint8Array): Uint8Array | undefined
  /** Undefined when these are not that many bytes, deflated. Never allocates more. */
  inflate(bytes: Uint8Array, length: number): Uint8Array | undefined
}

/** Deflated where that takes an eighth off; else as it is. */
export function wrapPayload(items: Uint8Array, deflater: Deflater): Uint8Array {
  const deflated = items.length < DEFLATE_BYTES_MIN ? undefined : deflater.deflate(items)
  const pays = deflated !== undefined && deflated.length <= items.length - (items.length >> 3)
  return encode((w) => {
    writeByte(w, pays ? DEFLATED : PLAIN)
    if (pays) writeUint(w, items.length)
    writeFixed(w, pays ? deflated : items)
  })
}

/** Bytes from a member, which may be compromised. Never throws. */
export function unwrapPayload(bytes: Uint8Array, deflater: Deflater): Result<Uint8Array, PayloadError> {
  const form = decode(bytes, (r) => {
    const deflated = readByte(r)
    // Checked before anything is allocated: no payload is larger than one that travels as it is.
    const length = deflated === DEFLATED ? readUint(r, PAYLOAD_BYTES_MAX) : undefined
    return { known: deflated <= DEFLATED, length, rest: readFixed(r, bytesLeft(r)) }
  })
  if (!form.ok || !form.value.known) return err({ code: 'PAYLOAD_MALFORMED' })
  const { length, rest } = form.value
  const items = length === undefined ? rest : deflater.inflate(rest, length)
  return items === undefined || items.length > PAYLOAD_BYTES_MAX ? err({ code: 'PAYLOAD_MALFORMED' }) : ok(items)
}

import {
  bytesLeft,
  concatBytes,
  decode,
  encode,
  equalBytes,
  fromHex,
  Malformed,
  type Reader,
  readByte,
  readFixed,
  readId,
  readUint,
  toHex,
  type Writer,
  writeByte,
  writeFixed,
  writeId,
  writeList,
  writeUint,
} from '../bytes.ts'
import type { AgentId, MeshId, NodeId, RecordHash } from '../ids.ts'
import { HASH_BYTES, type Secret, SIGNATURE_BYTES, type Signature, type SignPublicKey } from '../keys.ts'
import { LOG_HEADS_MAX, RECORD_BYTES_MAX, TIME_MS_MAX } from '../limits.ts'
import { assert, err, ok, type Result } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { RECORD_VERSION } from '../version.ts'
import type { RecordBody, RecordSigner, SignedRecord } from './record.ts'
import { bodyType, canonicalBody, readBody, readSorted, writeBody } from './record-body.ts'

/**
 * A membership record as it is signed, stored and sent (docs/spec/02-membership.md §2):
 *
 *   version 1B | mesh 32B | time uint | parents: count, 32B each | signer 1B + 32B | kind 1B | body | signature 64B
 *
 * The signature is over a tag and everything before it; the hash is over the tag and all of it, signature included,
 * so that a copy with a spoilt signature is another record and cannot stand in the way of the good one.
 */

/** Each wrong record has one code; none says anything about who may sign what: that is the fold's part. */
export type RecordError =
  | { code: 'RECORD_SIZE'; bytes: number }
  | { code: 'RECORD_VERSION'; version: number | undefined }
  | { code: 'RECORD_MALFORMED' }
  /** It reads well, but these are not the bytes that its content has. */
  | { code: 'RECORD_NOT_CANONICAL' }

export type RecordDraft = Pick<SignedRecord, 'mesh' | 'parents' | 'timeMs' | 'signer' | 'body'>

const SIGNER = { root: 1, node: 2, agent: 3 } as const

/**
 * Signs a record, with lists that are sets in their order. Control characters in a reason become spaces and an
 * overlong one is cut, since a person typed it; everything else in the draft must already hold to the limits.
 */
export function signRecord(
  draft: RecordDraft,
  secret: Secret<'root' | 'sign' | 'agent'>,
  sodium: Sodium,
): SignedRecord {
  const unsigned = encodeUnsigned({ ...draft, parents: draft.parents.toSorted(), body: canonicalBody(draft.body) })
  const bytes = concatBytes(unsigned, sodium.sign(signedBytes(unsigned), secret))
  const record = decodeRecord(bytes, sodium)
  assert(record.ok, `a ${draft.body.type} record that we sign is one that every node reads`)
  return record.value
}

/** Untrusted bytes in. Never throws. Checks form, not the signature: whose key it needs, only the log knows. */
export function decodeRecord(bytes: Uint8Array, sodium: Sodium): Result<SignedRecord, RecordError> {
  if (bytes.length > RECORD_BYTES_MAX) return err({ code: 'RECORD_SIZE', bytes: bytes.length })
  if (bytes[0] !== RECORD_VERSION) return err({ code: 'RECORD_VERSION', version: bytes[0] })
  // The log keeps what it reads, and the bytes may be a view of a whole packet.
  const own = bytes.slice()
  const read = decode(own, readRecord)
  if (!read.ok) return err({ code: 'RECORD_MALFORMED' })
  const { draft, signature } = read.value
  // Variable-length numbers have longer forms of themselves; accepting them would give one record many hashes.
  if (!equalBytes(encodeUnsigned(draft), own.subarray(0, -SIGNATURE_BYTES)))
    return err({ code: 'RECORD_NOT_CANONICAL' })
  const hash = toHex(sodium.hash([TAGS.record, own])) as RecordHash
  return ok({ ...draft, signature, hash, bytes: own })
}

/** Whether the record is signed by this key. 40 to 72 µs: once per record, then remembered. */
export const verifyRecord = (record: SignedRecord, key: Uint8Array, sodium: Sodium): boolean =>
  sodium.verify(record.signature, signedBytes(record.bytes.subarray(0, -SIGNATURE_BYTES)), key)

/** A node's id follows from its signing key and its founding agent, so an id can have one key only. */
export const nodeIdOf = (signKey: SignPublicKey, foundingAgent: AgentId, sodium: Sodium): NodeId =>
  toHex(sodium.hash([TAGS.nodeId, signKey, fromHex(foundingAgent)])) as NodeId

/** How many bytes a record with this body takes, at most: for callers that must not overrun the limit. */
export const recordBytesMax = (body: RecordBody): number =>
  encode((writer) => writeBody(writer, canonicalBody(body))).length + RECORD_FRAME_BYTES_MAX

/** Everything but the body: version, mesh, time, count and parents, signer, kind, signature. */
const RECORD_FRAME_BYTES_MAX =
  1 + HASH_BYTES + 8 + 2 + LOG_HEADS_MAX * HASH_BYTES + 1 + HASH_BYTES + 1 + SIGNATURE_BYTES

const signedBytes = (unsigned: Uint8Array): Uint8Array => concatBytes(TAGS.record, unsigned)

const encodeUnsigned = (draft: RecordDraft): Uint8Array =>
  encode((writer) => {
    writeByte(writer, RECORD_VERSION)
    writeId(writer, draft.mesh)
    writeUint(writer, draft.timeMs)
    writeList(writer, draft.parents, (parent) => writeId(writer, parent))
    writeSigner(writer, draft.signer)
    writeByte(writer, bodyType(draft.body))
    writeBody(writer, draft.body)
  })

function readRecord(reader: Reader): { draft: RecordDraft; signature: Signature } {
  readByte(reader) // The version, checked before.
  const mesh = readId<MeshId>(reader, HASH_BYTES)
  const timeMs = readUint(reader, TIME_MS_MAX)
  const parents = readSorted(reader, LOG_HEADS_MAX, (each) => readId<RecordHash>(each, HASH_BYTES), String)
  const signer = readSigner(reader)
  const body = readBody(reader)
  // A log has one kind of beginning: everything else follows something.
  if ((body.type === 'found') !== (parents.length === 0)) throw new Malformed()
  if (bytesLeft(reader) !== SIGNATURE_BYTES) throw new Malformed()
  const signature = readFixed(reader, SIGNATURE_BYTES) as Signature
  return { draft: { mesh, parents, timeMs, signer, body }, signature }
}

function writeSigner(writer: Writer, signer: RecordSigner): void {
  writeByte(writer, SIGNER[signer.type])
  switch (signer.type) {
    case 'root': // The mesh's id is the root's key.
      return
    case 'node':
      return writeFixed(writer, fromHex(signer.node))
    case 'agent':
      return writeFixed(writer, fromHex(signer.agent))
  }
}

function readSigner(reader: Reader): RecordSigner {
  switch (readByte(reader)) {
    case SIGNER.root:
      return { type: 'root' }
    case SIGNER.node:
      return { type: 'node', node: readId<NodeId>(reader, HASH_BYTES) }
    case SIGNER.agent:
      return { type: 'agent', agent: readId<AgentId>(reader, HASH_BYTES) }
    default:
      throw new Malformed()
  }
}

import {
  decode,
  encode,
  Malformed,
  type Reader,
  readByte,
  readBytes,
  readFixed,
  readId,
  readText,
  readUint,
  type Writer,
  writeByte,
  writeBytes,
  writeFixed,
  writeId,
  writeText,
  writeUint,
} from '../bytes.ts'
import { type AgentId, isName, type MailboxId, NAME_CHARACTERS_MAX } from '../ids.ts'
import {
  HASH_BYTES,
  type LoginPublicKey,
  SEAL_PUBLIC_KEY_BYTES,
  SEALED_BOX_EXTRA_BYTES,
  type SealPublicKey,
  SIGN_PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES,
  type SignPublicKey,
} from '../keys.ts'
import { PAYLOAD_BYTES_TARGET } from '../limits.ts'
import type { NodeIdentity } from '../membership/record.ts'
import type { Result } from '../result.ts'
import { POINT_BYTES } from '../ristretto.ts'

/** Who asks to join: all of it is bound into the transcript. */
export interface Joiner {
  readonly identity: NodeIdentity
  /** For the canary alone: the node announces another when it starts. */
  readonly prekey: SealPublicKey
}

/** Why one side ends a pairing. Numbers are for the wire. */
const REFUSAL_BYTE = {
  LINK_USED: 0x01,
  LINK_EXPIRED: 0x02,
  PAIRING_REFUSED: 0x03,
  PAIRING_WORDS_DIFFER: 0x04,
  PAIRING_TIMEOUT: 0x05,
  CODE_WRONG: 0x06,
  KEY_MISMATCH: 0x07,
} as const
export type Refusal = keyof typeof REFUSAL_BYTE

/**
 * What two machines say while they pair (docs/spec/05-pairing.md §4). `session` is the joiner's, random: it tells one
 * joiner from a second one with the same link.
 *
 *   0x01 join              session 16B | joiner | commitment 32B              → inviter
 *   0x02 accept            session     | commitment 32B                       → joiner
 *   0x03 reveal            session     | nonce 32B                            both ways
 *   0x04 want              session     | next chunk uint                      → inviter
 *   0x05 chunk             session     | index uint | count uint | bytes      → joiner
 *   0x06 done              session                                            → inviter
 *   0x07 refuse            session     | reason 1B                            both ways
 *   0x08 offer             session     | point 32B | mailbox 32B              → joiner    a code's
 *   0x09 answer            session     | point 32B | proof 32B                → inviter
 *   0x0a link              session     | bytes, sealed                        → joiner
 *   0x0b canary            session     | box 80B                              → joiner
 *   0x0c proof             session     | answer 32B | signature 64B, twice    → inviter
 */
export type PairingMessage =
  | { readonly type: 'join'; readonly session: Session; readonly joiner: Joiner; readonly commitment: Uint8Array }
  | { readonly type: 'accept'; readonly session: Session; readonly commitment: Uint8Array }
  | { readonly type: 'reveal'; readonly session: Session; readonly nonce: Uint8Array }
  | { readonly type: 'want'; readonly session: Session; readonly next: number }
  | {
      readonly type: 'chunk'
      readonly session: Session
      readonly index: number
      readonly count: number
      readonly bytes: Uint8Array
    }
  | { readonly type: 'done'; readonly session: Session }
  | { readonly type: 'refuse'; readonly session: Session; readonly reason: Refusal }
  | { readonly type: 'offer'; readonly session: Session; readonly point: Uint8Array; readonly mailbox: MailboxId }
  | { readonly type: 'answer'; readonly session: Session; readonly point: Uint8Array; readonly proof: Uint8Array }
  | { readonly type: 'link'; readonly session: Session; readonly sealed: Uint8Array }
  | { readonly type: 'canary'; readonly session: Session; readonly box: Uint8Array }
  | { readonly type: 'proof'; readonly session: Session; readonly proof: Uint8Array }

/** 16 random bytes, as hexadecimal. */
export type Session = string

export const SESSION_BYTES = 16
export const PAIRING_NONCE_BYTES = 32
/** Random, the inviter's, known to nobody who cannot open the joiner's prekey. */
export const CANARY_BYTES = 32
export const PROOF_BYTES = CANARY_BYTES + 2 * SIGNATURE_BYTES
/** A link of the longest address, its nonce and tag. */
const SEALED_LINK_BYTES_MAX = 2_048
export const CHUNK_BYTES = PAYLOAD_BYTES_TARGET
/** 64 MiB: a log of the most records that one may hold, at the size of the usual one. */
export const CHUNKS_MAX = Math.ceil((64 * 1_048_576) / CHUNK_BYTES)

export const encodeMessage = (message: PairingMessage): Uint8Array => encode((writer) => writeMessage(writer, message))

/** Bytes from whoever has the link. Never throws; shares memory. */
export const decodeMessage = (bytes: Uint8Array): Result<PairingMessage, { code: 'BYTES_MALFORMED' }> =>
  decode(bytes, readMessage)

function writeMessage(writer: Writer, message: PairingMessage): void {
  const begin = (type: number): void => {
    writeByte(writer, type)
    writeId(writer, message.session)
  }
  switch (message.type) {
    case 'join':
      begin(0x01)
      writeJoiner(writer, message.joiner)
      return writeFixed(writer, message.commitment)
    case 'accept':
      begin(0x02)
      return writeFixed(writer, message.commitment)
    case 'reveal':
      begin(0x03)
      return writeFixed(writer, message.nonce)
    case 'want':
      begin(0x04)
      return writeUint(writer, message.next)
    case 'chunk':
      begin(0x05)
      writeUint(writer, message.index)
      writeUint(writer, message.count)
      return writeBytes(writer, message.bytes)
    case 'done':
      return begin(0x06)
    case 'refuse':
      begin(0x07)
      return writeByte(writer, REFUSAL_BYTE[message.reason])
    case 'offer':
      begin(0x08)
      writeFixed(writer, message.point)
      return writeId(writer, message.mailbox)
    case 'answer':
      begin(0x09)
      writeFixed(writer, message.point)
      return writeFixed(writer, message.proof)
    case 'link':
      begin(0x0a)
      return writeBytes(writer, message.sealed)
    case 'canary':
      begin(0x0b)
      return writeFixed(writer, message.box)
    case 'proof':
      begin(0x0c)
      return writeFixed(writer, message.proof)
  }
}

function readMessage(reader: Reader): PairingMessage {
  const type = readByte(reader)
  const session: Session = readId(reader, SESSION_BYTES)
  switch (type) {
    case 0x01:
      return { type: 'join', session, joiner: readJoiner(reader), commitment: readFixed(reader, HASH_BYTES) }
    case 0x02:
      return { type: 'accept', session, commitment: readFixed(reader, HASH_BYTES) }
    case 0x03:
      return { type: 'reveal', session, nonce: readFixed(reader, PAIRING_NONCE_BYTES) }
    case 0x04:
      return { type: 'want', session, next: readUint(reader, CHUNKS_MAX) }
    case 0x05: {
      const index = readUint(reader, CHUNKS_MAX - 1)
      const count = readUint(reader, CHUNKS_MAX)
      if (index >= count) throw new Malformed()
      return { type: 'chunk', session, index, count, bytes: readBytes(reader, CHUNK_BYTES) }
    }
    case 0x06:
      return { type: 'done', session }
    case 0x07:
      return { type: 'refuse', session, reason: readRefusal(reader) }
    case 0x08:
      return { type: 'offer', session, point: readFixed(reader, POINT_BYTES), mailbox: readId(reader, HASH_BYTES) }
    case 0x09:
      return { type: 'answer', session, point: readFixed(reader, POINT_BYTES), proof: readFixed(reader, HASH_BYTES) }
    case 0x0a:
      return { type: 'link', session, sealed: readBytes(reader, SEALED_LINK_BYTES_MAX) }
    case 0x0b:
      return { type: 'canary', session, box: readFixed(reader, CANARY_BYTES + SEALED_BOX_EXTRA_BYTES) }
    case 0x0c:
      return { type: 'proof', session, proof: readFixed(reader, PROOF_BYTES) }
    default:
      throw new Malformed()
  }
}

export function writeJoiner(writer: Writer, { identity, prekey }: Joiner): void {
  writeText(writer, identity.name)
  writeFixed(writer, identity.signKey)
  writeFixed(writer, identity.loginKey)
  writeId(writer, identity.foundingAgent.id)
  writeText(writer, identity.foundingAgent.name)
  writeFixed(writer, prekey)
}

// Copies: a joiner is kept longer than the packet that it came in.
const readJoiner = (reader: Reader): Joiner => ({
  identity: {
    name: readName(reader),
    signKey: readFixed(reader, SIGN_PUBLIC_KEY_BYTES).slice() as SignPublicKey,
    loginKey: readFixed(reader, SIGN_PUBLIC_KEY_BYTES).slice() as LoginPublicKey,
    foundingAgent: { id: readId<AgentId>(reader, SIGN_PUBLIC_KEY_BYTES), name: readName(reader) },
  },
  prekey: readFixed(reader, SEAL_PUBLIC_KEY_BYTES).slice() as SealPublicKey,
})

/** Names end up on a screen where a person decides: only what a name may be. */
function readName(reader: Reader): string {
  const name = readText(reader, NAME_CHARACTERS_MAX)
  if (!isName(name)) throw new Malformed()
  return name
}

function readRefusal(reader: Reader): Refusal {
  const byte = readByte(reader)
  for (const [reason, value] of Object.entries(REFUSAL_BYTE)) if (value === byte) return reason as Refusal
  throw new Malformed()
}

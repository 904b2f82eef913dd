import {
  bytesLeft,
  concatBytes,
  type DecodeError,
  decode,
  encode,
  fromHex,
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
import { PACKET_ID_AT, PACKET_ID_BYTES } from '../envelope/header.ts'
import type { PacketId, RelayId } from '../ids.ts'
import { HASH_BYTES, type LoginPublicKey, SIGN_PUBLIC_KEY_BYTES, SIGNATURE_BYTES, type Signature } from '../keys.ts'
import { FRAME_BYTES_MAX, OPEN_MAILBOXES_MAX, PACKET_BYTES_MAX, PACKET_RECIPIENTS_MAX } from '../limits.ts'
import { err, ok, type Result } from '../result.ts'
import { WIRE_VERSION } from '../version.ts'
import { GENERATION_BYTES, LOGIN_NONCE_BYTES } from './challenge.ts'
import {
  type Allocate,
  decodePackets,
  encodeNumberedPackets,
  encodePackets,
  type NumberedPacket,
  PACKETS_PER_FRAME_MAX,
} from './packets.ts'
import { REASON_BYTES, type Reason, readReason, readReasonOrNone, reasonOfByte } from './reason.ts'
import { REVOCATION_BYTES_MAX } from './revocation.ts'
import { isSlotFrame, readSlotFrame, type SlotFrame, slotFrameBytes, writeSlotFrame } from './slot-frame.ts'
import { TOKEN_CHAIN_BYTES_MAX } from './token.ts'
import { readVaultFrame, type VaultFrame, writeVaultFrame } from './vault.ts'

/**
 * One WebSocket binary message between node and relay (docs/spec/07-relay.md §4): a type byte, then a body. `uint` is
 * a variable-length unsigned integer, `bytes` a uint and that many bytes. `→` is relay to node, `←` node to relay.
 */
const CHALLENGE = 0x01 // → version uint | relay id 32B | nonce 32B | generation 16B
const LOGIN = 0x02 // ← version uint | nonce 32B | login key 32B | chain bytes | signature 64B | 0 or 1 [proof 32B | root signature 64B]
const WELCOME = 0x03 // → counter uint | frame limit uint | signature 64B
const GOODBYE = 0x04 // → reason 1B | retry after uint, ms. Layout and number are the same in every version.
const SEND = 0x10 // ← one or more: packet bytes
const ANSWER = 0x11 // → one or more: packet id 16B | count uint | an outcome byte per recipient, in the header's order
const DELIVER = 0x12 // → one or more: sequence uint, of this session | packet bytes
const ACK = 0x13 // ← sequence uint: this one and all before it are safe with the node
const NOTICE = 0x14 // → reason 1B, 0 when active again | retry after uint, ms
const LOST = 0x15 // → count uint: packets dropped from open mailboxes since the last acknowledged mark
const DRAINED = 0x16 // → nothing more waits
const OPEN = 0x17 // ← count uint | 32B each: what opens the mailboxes that this session reads from now on, in order
const ENROL = 0x20 // ← request uint | token chain bytes
const REVOKE = 0x21 // ← request uint | revocation bytes
const DONE = 0x22 // → request uint | reason 1B, 0 when done
// 0x23 to 0x25: `slot-frame.ts`
const PING = 0x30 // ← number uint
const PONG = 0x31 // → the same number
// 0x40 to 0x47: `vault.ts`

const OUTCOME_DELIVERED = 0
const OUTCOME_STORED = 1

/** What became of a packet for one of its recipients. */
export type Outcome =
  | { readonly outcome: 'delivered' }
  | { readonly outcome: 'stored' }
  | { readonly outcome: 'refused'; readonly reason: Reason }

export interface Answer {
  readonly packet: PacketId
  readonly outcomes: readonly Outcome[]
}

export type Frame =
  | { readonly type: 'challenge'; readonly relay: RelayId; readonly nonce: Uint8Array; readonly generation: Uint8Array }
  | {
      readonly type: 'login'
      readonly nonce: Uint8Array
      readonly loginKey: LoginPublicKey
      /** As `encodeTokenChain` wrote it; empty when the login key is enrolled already. */
      readonly chain: Uint8Array
      readonly signature: Signature
      readonly claim: { readonly proof: Uint8Array; readonly rootSignature: Signature } | null
    }
  | {
      readonly type: 'welcome'
      readonly counter: number
      readonly frameBytesMax: number
      readonly signature: Signature
    }
  | { readonly type: 'goodbye'; readonly reason: Reason; readonly retryAfterMs: number }
  | { readonly type: 'send'; readonly packets: readonly Uint8Array[] }
  | { readonly type: 'answer'; readonly answers: readonly Answer[] }
  | { readonly type: 'deliver'; readonly packets: readonly NumberedPacket[] }
  | { readonly type: 'ack'; readonly sequence: number }
  | { readonly type: 'notice'; readonly reason: Reason | null; readonly retryAfterMs: number }
  | { readonly type: 'lost'; readonly count: number }
  | { readonly type: 'drained' }
  | { readonly type: 'open'; readonly secrets: readonly Uint8Array[] }
  | { readonly type: 'enrol'; readonly request: number; readonly chain: Uint8Array }
  | { readonly type: 'revoke'; readonly request: number; readonly revocation: Uint8Array }
  | { readonly type: 'done'; readonly request: number; readonly reason: Reason | null }
  | SlotFrame
  | { readonly type: 'ping'; readonly number: number }
  | { readonly type: 'pong'; readonly number: number }
  | VaultFrame

export type FrameOf<Type extends Frame['type']> = Extract<Frame, { type: Type }>

export type FrameError =
  | { code: 'FRAME_SIZE'; bytes: number }
  | { code: 'FRAME_MALFORMED'; frameType: number | undefined }
  | { code: 'VERSION_MISMATCH'; version: number }

/** Outcomes are shared, not made anew for each packet. */
export const DELIVERED: Outcome = { outcome: 'delivered' }
export const STORED: Outcome = { outcome: 'stored' }

/** What one answer takes: an id, a count and the outcomes. */
export const answerBytes = (answer: Pick<Answer, 'outcomes'>): number => PACKET_ID_BYTES + 1 + answer.outcomes.length

export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.type) {
    // The three that carry the load are laid out in one allocation.
    case 'send':
      return encodePackets(SEND, frame.packets)
    case 'deliver':
      return concatBytes(...encodeDeliver(frame.packets))
    case 'answer':
      return encodeAnswers(frame.answers)
    case 'readSlot':
    case 'setSlot':
    case 'slot': {
      const padded = new Uint8Array(slotFrameBytes(frame))
      padded.set(encode((writer) => writeFrame(writer, frame)))
      return padded
    }
    default:
      return encode((writer) => writeFrame(writer, frame))
  }
}

function writeFrame(writer: Writer, frame: Exclude<Frame, { type: 'send' | 'deliver' | 'answer' }>): void {
  switch (frame.type) {
    case 'challenge':
      writeByte(writer, CHALLENGE)
      writeUint(writer, WIRE_VERSION)
      writeId(writer, frame.relay)
      writeFixed(writer, frame.nonce)
      return writeFixed(writer, frame.generation)
    case 'login':
      writeByte(writer, LOGIN)
      writeUint(writer, WIRE_VERSION)
      writeFixed(writer, frame.nonce)
      writeFixed(writer, frame.loginKey)
      writeBytes(writer, frame.chain)
      writeFixed(writer, frame.signature)
      writeByte(writer, frame.claim === null ? 0 : 1)
      if (frame.claim === null) return
      writeFixed(writer, frame.claim.proof)
      return writeFixed(writer, frame.claim.rootSignature)
    case 'welcome':
      writeByte(writer, WELCOME)
      writeUint(writer, frame.counter)
      writeUint(writer, frame.frameBytesMax)
      return writeFixed(writer, frame.signature)
    case 'goodbye':
      writeByte(writer, GOODBYE)
      writeByte(writer, REASON_BYTES[frame.reason])
      return writeUint(writer, frame.retryAfterMs)
    case 'ack':
      writeByte(writer, ACK)
      return writeUint(writer, frame.sequence)
    case 'notice':
      writeByte(writer, NOTICE)
      writeByte(writer, frame.reason === null ? 0 : REASON_BYTES[frame.reason])
      return writeUint(writer, frame.retryAfterMs)
    case 'lost':
      writeByte(writer, LOST)
      return writeUint(writer, frame.count)
    case 'drained':
      return writeByte(writer, DRAINED)
    case 'open':
      writeByte(writer, OPEN)
      return writeList(writer, frame.secrets, (secret) => writeFixed(writer, secret))
    case 'enrol':
      writeByte(writer, ENROL)
      writeUint(writer, frame.request)
      return writeBytes(writer, frame.chain)
    case 'revoke':
      writeByte(writer, REVOKE)
      writeUint(writer, frame.request)
      return writeBytes(writer, frame.revocation)
    case 'done':
      writeByte(writer, DONE)
      writeUint(writer, frame.request)
      return writeByte(writer, frame.reason === null ? 0 : REASON_BYTES[frame.reason])
    case 'ping':
      writeByte(writer, PING)
      return writeUint(writer, frame.number)
    case 'pong':
      writeByte(writer, PONG)
      return writeUint(writer, frame.number)
    case 'readSlot':
    case 'setSlot':
    case 'slot':
      return writeSlotFrame(writer, frame)
    default:
      return writeVaultFrame(writer, frame)
  }
}

/**
 * A `deliver` frame in parts that follow one another; large packets are among them, not copied. Every byte that
 * `allocate` gives is written.
 */
export const encodeDeliver = (packets: readonly NumberedPacket[], allocate?: Allocate): Uint8Array[] =>
  encodeNumberedPackets(DELIVER, packets, allocate)

/** What a relay answers: it has the packet at hand, and need not make a text of its id. */
export interface PacketAnswer {
  /** Of which the header has been read. */
  readonly packet: Uint8Array
  readonly outcomes: readonly Outcome[]
}

/** The same bytes as an `answer` frame. */
export function encodePacketAnswers(answers: readonly PacketAnswer[], allocate: Allocate): Uint8Array {
  let size = 1
  for (const answer of answers) size += answerBytes(answer)
  const frame = allocate(size)
  frame[0] = ANSWER
  let at = 1
  for (const { packet, outcomes } of answers) {
    for (let i = 0; i < PACKET_ID_BYTES; i++) frame[at++] = packet[PACKET_ID_AT + i]!
    at = putOutcomes(frame, at, outcomes)
  }
  return frame
}

/** Outcomes are at most 32, so their count is one byte. */
function encodeAnswers(answers: readonly Answer[]): Uint8Array {
  let size = 1
  for (const { outcomes } of answers) size += PACKET_ID_BYTES + 1 + outcomes.length
  const frame = new Uint8Array(size)
  frame[0] = ANSWER
  let at = 1
  for (const { packet, outcomes } of answers) {
    frame.set(fromHex(packet), at)
    at += PACKET_ID_BYTES
    at = putOutcomes(frame, at, outcomes)
  }
  return frame
}

function putOutcomes(frame: Uint8Array, at: number, outcomes: readonly Outcome[]): number {
  let next = at
  frame[next++] = outcomes.length
  for (const outcome of outcomes) frame[next++] = outcomeByte(outcome)
  return next
}

/** Untrusted bytes in. Never throws. The result shares memory with `bytes`. */
export function decodeFrame(bytes: Uint8Array): Result<Frame, FrameError> {
  if (bytes.length > FRAME_BYTES_MAX || bytes.length === 0) return err({ code: 'FRAME_SIZE', bytes: bytes.length })
  if (bytes[0] === SEND) {
    const packets = decodePackets(bytes)
    return packets === null ? err({ code: 'FRAME_MALFORMED', frameType: SEND }) : ok({ type: 'send', packets })
  }
  let version = WIRE_VERSION
  const frame: Result<Frame | null, DecodeError> = decode(bytes, (reader) => {
    const type = readByte(reader)
    if (type === CHALLENGE || type === LOGIN) {
      version = readUint(reader)
      // Nothing is known of what follows, only that it is not ours.
      if (version !== WIRE_VERSION) return skip(reader)
    }
    return readBody(type, reader)
  })
  if (version !== WIRE_VERSION) return err({ code: 'VERSION_MISMATCH', version })
  return frame.ok && frame.value !== null ? ok(frame.value) : err({ code: 'FRAME_MALFORMED', frameType: bytes[0] })
}

function readBody(type: number, reader: Reader): Frame {
  switch (type) {
    case CHALLENGE:
      return {
        type: 'challenge',
        relay: readId<RelayId>(reader, 32),
        nonce: readFixed(reader, LOGIN_NONCE_BYTES),
        generation: readFixed(reader, GENERATION_BYTES),
      }
    case LOGIN:
      return {
        type: 'login',
        nonce: readFixed(reader, LOGIN_NONCE_BYTES),
        loginKey: readFixed(reader, SIGN_PUBLIC_KEY_BYTES) as LoginPublicKey,
        chain: readBytes(reader, TOKEN_CHAIN_BYTES_MAX),
        signature: readFixed(reader, SIGNATURE_BYTES) as Signature,
        claim: readClaim(reader),
      }
    case WELCOME:
      return {
        type: 'welcome',
        counter: readUint(reader),
        frameBytesMax: readUint(reader),
        signature: readFixed(reader, SIGNATURE_BYTES) as Signature,
      }
    case GOODBYE:
      return { type: 'goodbye', reason: readReason(reader), retryAfterMs: readUint(reader) }
    case ANSWER:
      return {
        type: 'answer',
        answers: readRest(reader, () => ({
          packet: readId<PacketId>(reader, PACKET_ID_BYTES),
          outcomes: readList(reader, PACKET_RECIPIENTS_MAX, readOutcome),
        })),
      }
    case DELIVER:
      return {
        type: 'deliver',
        packets: readRest(reader, () => ({ sequence: readUint(reader), packet: readBytes(reader, PACKET_BYTES_MAX) })),
      }
    case ACK:
      return { type: 'ack', sequence: readUint(reader) }
    case NOTICE:
      return { type: 'notice', reason: readReasonOrNone(reader), retryAfterMs: readUint(reader) }
    case LOST:
      return { type: 'lost', count: readUint(reader) }
    case DRAINED:
      return { type: 'drained' }
    case OPEN:
      return { type: 'open', secrets: readList(reader, OPEN_MAILBOXES_MAX, (each) => readFixed(each, HASH_BYTES)) }
    case ENROL:
      return { type: 'enrol', request: readUint(reader), chain: readBytes(reader, TOKEN_CHAIN_BYTES_MAX) }
    case REVOKE:
      return { type: 'revoke', request: readUint(reader), revocation: readBytes(reader, REVOCATION_BYTES_MAX) }
    case DONE:
      return { type: 'done', request: readUint(reader), reason: readReasonOrNone(reader) }
    case PING:
      return { type: 'ping', number: readUint(reader) }
    case PONG:
      return { type: 'pong', number: readUint(reader) }
    default:
      return isSlotFrame(type) ? readSlotFrame(reader, type) : readVaultFrame(reader, type)
  }
}

function readClaim(reader: Reader): FrameOf<'login'>['claim'] {
  const flag = readByte(reader)
  if (flag === 0) return null
  if (flag !== 1) throw new Malformed()
  return { proof: readFixed(reader, 32), rootSignature: readFixed(reader, SIGNATURE_BYTES) as Signature }
}

function readOutcome(reader: Reader): Outcome {
  const byte = readByte(reader)
  if (byte === OUTCOME_DELIVERED) return DELIVERED
  if (byte === OUTCOME_STORED) return STORED
  const reason = reasonOfByte(byte)
  if (reason === undefined) throw new Malformed()
  return { outcome: 'refused', reason }
}

function outcomeByte(outcome: Outcome): number {
  switch (outcome.outcome) {
    case 'delivered':
      return OUTCOME_DELIVERED
    case 'stored':
      return OUTCOME_STORED
    case 'refused':
      return REASON_BYTES[outcome.reason]
  }
}

/** At least one item, up to the end of the frame. */
function readRest<T>(reader: Reader, read: () => T): T[] {
  const items = [read()]
  while (bytesLeft(reader) > 0) {
    if (items.length === PACKETS_PER_FRAME_MAX) throw new Malformed()
    items.push(read())
  }
  return items
}

function skip(reader: Reader): null {
  readFixed(reader, bytesLeft(reader))
  return null
}

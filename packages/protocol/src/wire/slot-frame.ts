import {
  bytesLeft,
  bytesRead,
  Malformed,
  type Reader,
  readByte,
  readFixed,
  readId,
  readUint,
  type Writer,
  writeByte,
  writeFixed,
  writeId,
  writeUint,
} from '../bytes.ts'
import type { SlotId } from '../ids.ts'
import { HASH_BYTES, SIGNATURE_BYTES, type Signature } from '../keys.ts'
import {
  SLOT_BLOB_BYTES,
  SLOT_NONCE_BYTES,
  SLOT_QUESTION_BYTES,
  SLOT_RESULTS,
  type SlotResult,
  slotAnswerBytes,
} from './slot.ts'

/**
 * The frames about a relay's slots (docs/spec/07-relay.md §6). Layouts as in `frame.ts`; zeros fill each up to the size
 * of a control packet, so that nobody tells a lease from a receipt.
 */
const READ_SLOT = 0x23 // ← request uint | nonce 16B | slot 32B | zeros
const SET_SLOT = 0x24 // ← request uint | nonce 16B | slot 32B | 0 or 1 [hash of what is there 32B] | least age uint, ms | blob 2,048B | zeros
const SLOT = 0x25 // → request uint | result 1B | counter uint | age uint, ms | 0 or 1 [blob 2,048B] | signature 64B | zeros

export type SlotFrame =
  | { readonly type: 'readSlot'; readonly request: number; readonly nonce: Uint8Array; readonly slot: SlotId }
  | {
      readonly type: 'setSlot'
      readonly request: number
      readonly nonce: Uint8Array
      readonly slot: SlotId
      /** Of the blob that is to be replaced; null where there must be none. */
      readonly expected: Uint8Array | null
      /** It must have lain there this long. */
      readonly leastAgeMs: number
      readonly blob: Uint8Array
    }
  | {
      readonly type: 'slot'
      readonly request: number
      readonly result: SlotResult
      readonly counter: number
      readonly ageMs: number
      /** What is there; absent after a set, whose sender has it. */
      readonly blob: Uint8Array | null
      readonly signature: Signature
    }

export const isSlotFrame = (type: number): boolean => type >= READ_SLOT && type <= SLOT

/** How long it is with its zeros, of which `writeSlotFrame` writes none. */
export const slotFrameBytes = (frame: SlotFrame): number =>
  frame.type === 'slot' ? slotAnswerBytes(frame.request) : SLOT_QUESTION_BYTES

export function writeSlotFrame(writer: Writer, frame: SlotFrame): void {
  switch (frame.type) {
    case 'readSlot':
      writeByte(writer, READ_SLOT)
      writeUint(writer, frame.request)
      writeFixed(writer, frame.nonce)
      return writeId(writer, frame.slot)
    case 'setSlot':
      writeByte(writer, SET_SLOT)
      writeUint(writer, frame.request)
      writeFixed(writer, frame.nonce)
      writeId(writer, frame.slot)
      writePerhaps(writer, frame.expected)
      writeUint(writer, frame.leastAgeMs)
      return writeFixed(writer, frame.blob)
    case 'slot':
      writeByte(writer, SLOT)
      writeUint(writer, frame.request)
      writeByte(writer, SLOT_RESULTS.indexOf(frame.result))
      writeUint(writer, frame.counter)
      writeUint(writer, frame.ageMs)
      writePerhaps(writer, frame.blob)
      return writeFixed(writer, frame.signature)
  }
}

/** What follows a type byte of which `isSlotFrame` is true. */
export function readSlotFrame(reader: Reader, type: number): SlotFrame {
  switch (type) {
    case READ_SLOT:
      return padded(reader, {
        type: 'readSlot',
        request: readUint(reader),
        nonce: readFixed(reader, SLOT_NONCE_BYTES),
        slot: readId<SlotId>(reader, HASH_BYTES),
      })
    case SET_SLOT:
      return padded(reader, {
        type: 'setSlot',
        request: readUint(reader),
        nonce: readFixed(reader, SLOT_NONCE_BYTES),
        slot: readId<SlotId>(reader, HASH_BYTES),
        expected: readPerhaps(reader, HASH_BYTES),
        leastAgeMs: readUint(reader),
        blob: readFixed(reader, SLOT_BLOB_BYTES),
      })
    case SLOT:
      return padded(reader, {
        type: 'slot',
        request: readUint(reader),
        result: readResult(reader),
        counter: readUint(reader),
        ageMs: readUint(reader),
        blob: readPerhaps(reader, SLOT_BLOB_BYTES),
        signature: readFixed(reader, SIGNATURE_BYTES) as Signature,
      })
    default:
      throw new Malformed()
  }
}

/** What was read, and zeros up to the one length that it may have. */
function padded<F extends SlotFrame>(reader: Reader, frame: F): F {
  if (bytesRead(reader) + bytesLeft(reader) !== slotFrameBytes(frame)) throw new Malformed()
  if (readFixed(reader, bytesLeft(reader)).some((byte) => byte !== 0)) throw new Malformed()
  return frame
}

function writePerhaps(writer: Writer, bytes: Uint8Array | null): void {
  writeByte(writer, bytes === null ? 0 : 1)
  if (bytes !== null) writeFixed(writer, bytes)
}

const readPerhaps = (reader: Reader, bytes: number): Uint8Array | null =>
  readUint(reader, 1) === 0 ? null : readFixed(reader, bytes)

function readResult(reader: Reader): SlotResult {
  const result = SLOT_RESULTS[readByte(reader)]
  if (result === undefined) throw new Malformed()
  return result
}

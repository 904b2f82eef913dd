import { encode, equalBytes, writeByte, writeFixed, writeId, writeUint } from '../bytes.ts'
import { PACKET_BYTES_MIN } from '../envelope/header.ts'
import type { MeshId, RelayId, SlotId } from '../ids.ts'
import type { Signature } from '../keys.ts'
import { CONTROL_PADDING_BYTES, PADDING_FLOOR_BYTES } from '../limits.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { WIRE_VERSION } from '../version.ts'

/**
 * A slot is the one place of a mesh that says no: a relay keeps one blob in it and replaces it only for who names the
 * hash of what is there, and where that is asked for only when it has lain there long enough (docs/spec/07-relay.md §6).
 */

/** As a frame that sends one control packet to one reader: nobody tells a lease from a receipt by its size. */
export const SLOT_QUESTION_BYTES = 1 + 2 + PACKET_BYTES_MIN - PADDING_FLOOR_BYTES + CONTROL_PADDING_BYTES
/** As a frame that delivers one; requests are counted like deliveries. */
export const slotAnswerBytes = (request: number): number =>
  SLOT_QUESTION_BYTES + encode((writer) => writeUint(writer, request)).length
/** All blobs have one size, so that none tells by it what it says. */
export const SLOT_BLOB_BYTES = 2_048
/** Random, of each question: an answer to another one proves nothing. */
export const SLOT_NONCE_BYTES = 16

/** In the order of their bytes on the wire. */
export const SLOT_RESULTS = ['read', 'set', 'differs', 'young'] as const
export type SlotResult = (typeof SLOT_RESULTS)[number]

/** What a relay puts its name to. */
export interface SlotReceipt {
  readonly relay: RelayId
  readonly generation: Uint8Array
  readonly mesh: MeshId
  readonly slot: SlotId
  readonly nonce: Uint8Array
  readonly result: SlotResult
  /** How often this slot was set: 0 for never. */
  readonly counter: number
  /** How long the blob has lain there, as far as this run of the relay can tell. */
  readonly ageMs: number
  /** Of the blob that is there now; null for none. */
  readonly hash: Uint8Array | null
}

export const hashOfBlob = (blob: Uint8Array, sodium: Sodium): Uint8Array => sodium.hash([TAGS.relaySlot, blob])

export const slotMessage = (receipt: SlotReceipt): Uint8Array =>
  encode((writer) => {
    writeFixed(writer, TAGS.relaySlot)
    writeByte(writer, WIRE_VERSION)
    writeId(writer, receipt.relay)
    writeFixed(writer, receipt.generation)
    writeId(writer, receipt.mesh)
    writeId(writer, receipt.slot)
    writeFixed(writer, receipt.nonce)
    writeByte(writer, SLOT_RESULTS.indexOf(receipt.result))
    writeUint(writer, receipt.counter)
    writeUint(writer, receipt.ageMs)
    writeByte(writer, receipt.hash === null ? 0 : 1)
    if (receipt.hash !== null) writeFixed(writer, receipt.hash)
  })

/** Two receipts of one relay and generation that cannot both be true: one counter, two blobs. */
export const contradict = (a: SlotReceipt, b: SlotReceipt): boolean =>
  a.relay === b.relay &&
  equalBytes(a.generation, b.generation) &&
  a.mesh === b.mesh &&
  a.slot === b.slot &&
  a.counter === b.counter &&
  !(a.hash === null ? b.hash === null : b.hash !== null && equalBytes(a.hash, b.hash))

export type SignedSlotReceipt = SlotReceipt & { readonly signature: Signature }

import { randomBytes } from 'node:crypto'
import { fromHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { MeshId, RelayId, SlotId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import { hashOfBlob, SLOT_NONCE_BYTES, type SignedSlotReceipt, slotMessage } from '@sealmesh/protocol/wire/slot'

/** What is asked of a relay about a slot: what is there, or to replace it. */
export type SlotQuestion =
  | { readonly type: 'readSlot'; readonly slot: SlotId }
  | {
      readonly type: 'setSlot'
      readonly slot: SlotId
      /** Hash of what is to be replaced; null where there must be nothing. */
      readonly expected: Uint8Array | null
      readonly leastAgeMs: number
      readonly blob: Uint8Array
    }

export interface SlotAnswer {
  readonly receipt: SignedSlotReceipt
  /** What is there now; null for nothing. */
  readonly blob: Uint8Array | null
}

export interface SlotSession {
  readonly relay: RelayId
  readonly generation: Uint8Array
  readonly mesh: MeshId
}

/** A question of its own nonce, and how its answer is judged. */
export function askAboutSlot(question: SlotQuestion, session: SlotSession, sodium: Sodium) {
  const nonce = randomBytes(SLOT_NONCE_BYTES)
  return {
    frameOf: (request: number): FrameOf<'readSlot' | 'setSlot'> => ({ ...question, request, nonce }),
    /** Throws RELAY_WRONG_KEY for what the relay did not sign for this question. */
    judge: (frame: FrameOf<'slot'>): SlotAnswer => {
      const { result, counter, ageMs, signature } = frame
      const set = question.type === 'setSlot' && result === 'set' ? question.blob : null
      // A copy: the frame's memory is the socket's.
      const blob = set ?? (frame.blob === null ? null : Uint8Array.from(frame.blob))
      const hash = blob === null ? null : hashOfBlob(blob, sodium)
      const receipt = { ...session, slot: question.slot, nonce, result, counter, ageMs, hash }
      const isFitting = result === 'set' ? set !== null : question.type === 'setSlot' || result === 'read'
      if (!isFitting || !sodium.verify(signature, slotMessage(receipt), fromHex(session.relay)))
        throw new Failure('RELAY_WRONG_KEY', 'What the relay says of a slot is not signed by it for this question.')
      return { receipt: { ...receipt, signature: Uint8Array.from(signature) as typeof signature }, blob }
    },
  }
}

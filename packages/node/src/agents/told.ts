import { byteString, frameOf } from '@sealmesh/agent/wire/frames'
import { encodeDelivery, encodeDeliveryStart, FRAME_KINDS } from '@sealmesh/protocol/ipc/compact'
import type { DoorStream } from '../ipc/dispatch.ts'
import type { HandedOut } from './core/inbox.ts'

/** Hands a letter to the agent with this handle, in the framing of its connection. */
export function tellLetter(stream: DoorStream, as: number, { letter, place }: HandedOut): void {
  const { head, text, payloadAt } = letter
  const { compact } = stream
  if (compact?.isOn() !== true) return stream.tellText('message', `{"as":${as},"place":${place},"message":${text}}`)
  const start = encodeDeliveryStart(as, place) + encodeDelivery(head)
  compact.tell(frameOf(FRAME_KINDS.message, start, byteString(text.slice(payloadAt, -1))))
}

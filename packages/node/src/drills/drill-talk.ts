import { type DrillWord, encodeWord } from '@sealmesh/protocol/drills/exchange'
import type { NodeId } from '@sealmesh/protocol/ids'
import { encodePayload } from '@sealmesh/protocol/sync/payload'
import { wrapPayload } from '@sealmesh/protocol/sync/payload-form'
import { DRILL_BODY_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { PacketPort } from '../sync/packet-port.ts'
import { ZlibDeflater } from '../sync/zlib-deflater.ts'

/** A word is news for as long; afterwards its mailbox drops it. */
const WORD_LIFE_MS = 60_000

export interface DrillTalk {
  readonly port: Pick<PacketPort, 'seal'>
  readonly send: (packet: Uint8Array) => 'sent' | 'full' | 'down'
}

/** Sent once: whoever hears nothing says it again. False when it can never be sent as it is. */
export function sayInDrill({ port, send }: DrillTalk, to: NodeId, drill: string, word: DrillWord): boolean {
  const body = encodeWord(word)
  if (body.length > DRILL_BODY_BYTES_MAX) return false
  const payload = wrapPayload(encodePayload([{ type: 'drill', drill, body }]), new ZlibDeflater())
  const packet = port.seal(to, payload, 'sync', WORD_LIFE_MS)
  if (packet !== undefined) send(packet.bytes)
  return true
}

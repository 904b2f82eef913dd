import { randomBytes } from 'node:crypto'
import { answerChallenge } from '@sealmesh/node/uplink/greeting'
import { PACKET_BYTES_MIN } from '@sealmesh/protocol/envelope/header'
import type { RelayId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { decodeFrame, encodeFrame, type Frame } from '@sealmesh/protocol/wire/frame'
import { FrameFiller, packetFrameBytes } from '@sealmesh/protocol/wire/packets'
import { type Member, TestMesh } from '@sealmesh/test/relay/mesh'
import type { WebSocket } from 'ws'
import { dialLane, type Lane, type LaneOptions, readStamp, sendTogether, writeStamp } from './lane.ts'

/**
 * To our relay: a node's login, packets whose headers are real and whose bodies are noise, acknowledgements and
 * frames put together once per turn as `relay-link.ts` does. Lean, so that the generator is not what is measured.
 */

export interface OurLaneOptions extends LaneOptions {
  readonly relay: string
  readonly sodium: Sodium
  /** Until its first login a mesh needs it. */
  readonly claim?: string
  /** A reader that leaves its packets unacknowledged. */
  readonly acknowledges?: boolean
  /** Comes for nothing: others may go on sending to its mailbox as to one that is away. */
  readonly reads?: boolean
  readonly onDrained?: () => void
  readonly onNotice?: (reason: string | null) => void
  readonly onGoodbye?: (reason: string) => void
}

/** Below a relay's bound for one mesh. */
export const MESH_LANES_MAX = 1_000
const EXPIRY_MS = 86_400_000
const ID_AT = 1
const ID_BYTES = 16

/** Made from their numbers alone, so that every process knows everybody. */
export class Crowd {
  readonly #sodium: Sodium
  readonly #meshes = new Map<number, TestMesh>()

  constructor(sodium: Sodium) {
    this.#sodium = sodium
  }

  meshOf(number: number): TestMesh {
    const at = Math.floor(number / MESH_LANES_MAX)
    const known = this.#meshes.get(at) ?? new TestMesh(this.#sodium, `bench ${at}`)
    this.#meshes.set(at, known)
    return known
  }

  member(number: number, claim?: string): Member {
    return this.meshOf(number).member(String(number), claim === undefined ? {} : { code: claim })
  }
}

export async function openOurLane(options: OurLaneOptions): Promise<Lane> {
  const { number, sodium, acknowledges = true } = options
  const crowd = new Crowd(sodium)
  const me = crowd.member(number, options.claim)
  const outgoing = new FrameFiller<Uint8Array>(packetFrameBytes)
  let seen = 0
  let acknowledged = 0
  let scheduled = false
  const flush = (): void => {
    scheduled = false
    if (ws.readyState !== ws.OPEN) return
    const frames: Uint8Array[] = []
    if (acknowledges && seen > acknowledged) frames.push(encodeFrame({ type: 'ack', sequence: seen }))
    acknowledged = seen
    for (const packets of outgoing.take()) frames.push(encodeFrame({ type: 'send', packets }))
    sendTogether(ws, frames)
  }
  const flushSoon = (): void => {
    if (!scheduled) setImmediate(flush)
    scheduled = true
  }
  let live: () => void = () => undefined
  let failed: (error: Error) => void = () => undefined
  const isLive = new Promise<void>((resolve, reject) => {
    live = resolve
    failed = reject
  })
  const hear = (frame: Frame, ws: WebSocket): void => {
    switch (frame.type) {
      case 'challenge':
        if (frame.relay !== (options.relay as RelayId)) throw new Error('another relay answers')
        return ws.send(encodeFrame(answerChallenge(frame, me.login, randomBytes(32), sodium)))
      case 'welcome':
        ws.send(encodeFrame({ type: 'open', secrets: options.reads === false ? [] : [me.mailboxSecret] }))
        return live()
      case 'deliver':
        for (const { sequence, packet } of frame.packets) {
          seen = sequence
          options.onMessage(readStamp(packet))
        }
        return flushSoon()
      case 'answer':
        for (const { outcomes } of frame.answers)
          for (const each of outcomes) options.onAnswer?.(each.outcome === 'refused' ? each.reason : each.outcome)
        return
      case 'drained':
        return options.onDrained?.()
      case 'notice':
        return options.onNotice?.(frame.reason)
      case 'goodbye':
        options.onGoodbye?.(frame.reason)
        return failed(new Error(`the relay says ${frame.reason}`))
      default:
        return
    }
  }
  const ws = await dialLane(options, (bytes, from) => {
    const frame = decodeFrame(bytes)
    if (!frame.ok) throw new Error(`the relay sent ${frame.error.code}`)
    hear(frame.value, from)
  })
  ws.on('close', () => failed(new Error('the relay hung up')))
  await isLive

  const templates = new Map<number, Uint8Array>()
  return {
    send(to, stamp) {
      let template = templates.get(to)
      if (template === undefined) {
        const { mailbox } = crowd.member(to)
        template = crowd
          .meshOf(to)
          .packet([mailbox], Date.now() + EXPIRY_MS, Math.max(options.bytes, PACKET_BYTES_MIN)).bytes
        templates.set(to, template)
      }
      const packet = Buffer.from(template)
      nextId(packet)
      writeStamp(packet, stamp)
      outgoing.add(packet)
      flushSoon()
    },
    pause: () => ws.pause(),
    close: () => ws.terminate(),
  }
}

/** Random once, counted from then on: thousands of random ids a second would be what the generator does. */
const id = randomBytes(ID_BYTES)
function nextId(packet: Buffer): void {
  id.writeUInt32BE((id.readUInt32BE() + 1) >>> 0)
  packet.set(id, ID_AT)
}

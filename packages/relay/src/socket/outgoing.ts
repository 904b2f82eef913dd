import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  answerBytes,
  encodeDeliver,
  encodeFrame,
  encodePacketAnswers,
  type Frame,
  type PacketAnswer,
} from '@sealmesh/protocol/wire/frame'
import { FrameFiller, type NumberedPacket, packetFrameBytes } from '@sealmesh/protocol/wire/packets'
import type { Slab, Slabs } from '../core/slabs.ts'
import type { Scratch } from './scratch.ts'

/** Where frames go, each in parts that follow one another. */
export interface FrameSink {
  send(parts: readonly Uint8Array[]): void
}

/**
 * What waits for one connection, in two lanes. Control frames go ahead at once. Packets follow in order, only as many
 * as the socket can take soon, so that an answer or a goodbye never queues behind megabytes.
 */
const SOCKET_BYTES_MAX = 524_288
/** Answers that a peer does not read, while it goes on sending: no honest peer comes near. */
const CONTROL_BYTES_MAX = 2_097_152

export class Outgoing {
  readonly #sink: FrameSink
  readonly #socket: Duplex
  readonly #scratch: Scratch
  readonly #slabs: Pick<Slabs, 'release'>
  /** Where packets stand that the socket may not have written. */
  #held: Slab[] = []
  #control: Uint8Array[] = []
  readonly #answers = new FrameFiller<PacketAnswer>(answerBytes)
  #lane: (readonly Uint8Array[])[] = []
  #laneBytes = 0
  readonly #laneBytesMax: () => number
  #last: Uint8Array | null = null
  readonly #packets = new FrameFiller<NumberedPacket>((item) => packetFrameBytes(item.packet))

  /** `laneBytesMax`: beyond what the core hands to a reader that acknowledges what it has read. */
  constructor(
    sink: FrameSink,
    socket: Duplex,
    scratch: Scratch,
    slabs: Pick<Slabs, 'release'>,
    laneBytesMax: () => number,
  ) {
    this.#sink = sink
    this.#socket = socket
    this.#scratch = scratch
    this.#slabs = slabs
    this.#laneBytesMax = laneBytesMax
  }

  control(frame: Frame): void {
    this.#control.push(encodeFrame(frame))
  }

  answer(answer: PacketAnswer): void {
    this.#answers.add(answer)
  }

  packet(packet: NumberedPacket): void {
    this.#packets.add(packet)
  }

  /** What it is given next stands in this slab, which is not used again until all of that has left. */
  hold(slab: Slab): void {
    if (!this.#isKernels) {
      slab.isLent = true
      return
    }
    if (this.#held.at(-1) === slab) return
    slab.holders += 1
    this.#held.push(slab)
  }

  /** A frame that must not overtake the packets before it. */
  inOrder(frame: Frame): void {
    this.#closePackets()
    this.#append([encodeFrame(frame)])
  }

  /** Ends the talk: packets that still wait are not sent, they go back to their mailbox. */
  last(frame: Frame): void {
    this.#packets.take()
    this.#lane = []
    this.#laneBytes = 0
    this.#last = encodeFrame(frame)
  }

  /** Once per loop turn, and when the socket has room again: one write, whatever it is made of. */
  flush(): 'ok' | 'overflow' {
    let result: 'ok' | 'overflow' = 'ok'
    this.#scratch.during(() => {
      result = this.#write()
      const hasLeft = this.#isKernels && this.#socket.writableLength === 0 && this.#lane.length === 0
      if (hasLeft) this.#letGo()
      return hasLeft
    })
    return result
  }

  /** What such a socket has written is with the kernel. Another Duplex may keep what it says that it has taken. */
  get #isKernels(): boolean {
    return this.#socket instanceof Socket
  }

  #letGo(): void {
    for (const slab of this.#held) this.#slabs.release(slab)
    this.#held = []
  }

  #write(): 'ok' | 'overflow' {
    const { allocate } = this.#scratch
    this.#closePackets()
    this.#socket.cork()
    for (const frame of this.#control) this.#sink.send([frame])
    this.#control = []
    for (const answers of this.#answers.take()) this.#sink.send([encodePacketAnswers(answers, allocate)])
    // Who acknowledges what it has not read would have the lane grow for ever.
    const overflow =
      this.#socket.writableLength > SOCKET_BYTES_MAX + CONTROL_BYTES_MAX || this.#laneBytes > this.#laneBytesMax()
    let sent = 0
    for (const parts of this.#lane) {
      if (this.#socket.writableLength > SOCKET_BYTES_MAX) break
      this.#sink.send(parts)
      this.#laneBytes -= bytesOf(parts)
      sent += 1
    }
    if (sent > 0) this.#lane.splice(0, sent)
    if (this.#last !== null) this.#sink.send([this.#last])
    this.#last = null
    this.#socket.uncork()
    return overflow ? 'overflow' : 'ok'
  }

  #closePackets(): void {
    const { allocate } = this.#scratch
    for (const packets of this.#packets.take()) this.#append(encodeDeliver(packets, allocate))
  }

  #append(parts: readonly Uint8Array[]): void {
    this.#lane.push(parts)
    this.#laneBytes += bytesOf(parts)
  }
}

const bytesOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, 0)

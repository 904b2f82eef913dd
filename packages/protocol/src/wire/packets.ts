import { PACKET_BYTES_MAX } from '../limits.ts'

/** A packet with its place in a mailbox. Sequences grow; those of expired packets are left out. */
export interface NumberedPacket {
  readonly sequence: number
  readonly packet: Uint8Array
}

/** Empty packets do not exist, so a frame holds fewer; this bounds what a decoder makes of hostile bytes. */
export const PACKETS_PER_FRAME_MAX = 4_096

/** Beyond this a packet is passed on as it is: below, copying costs less than one more piece to write. */
const COPIED_BYTES_MAX = 2_048

/** Memory for so many bytes, all of which will be written. */
export type Allocate = (bytes: number) => Uint8Array

const allocateZeroed: Allocate = (bytes) => new Uint8Array(bytes)

/** A type byte, then each packet behind its length. */
export function encodePackets(type: number, packets: readonly Uint8Array[]): Uint8Array {
  let size = 1
  for (const packet of packets) size += uintBytes(packet.length) + packet.length
  const frame = new Uint8Array(size)
  frame[0] = type
  let at = 1
  for (const packet of packets) at = putPacket(frame, at, packet)
  return frame
}

/** Untrusted bytes in: what `encodePackets` makes, and null for anything else. The packets share memory with `bytes`. */
export function decodePackets(bytes: Uint8Array): Uint8Array[] | null {
  const packets: Uint8Array[] = []
  let at = 1
  do {
    if (packets.length === PACKETS_PER_FRAME_MAX) return null
    let length = 0
    let scale = 1
    // Not the general reader: this is where a relay's time goes. The same numbers as its `readUint`.
    for (let more = true; more; scale *= 128) {
      const byte = bytes[at++]
      if (byte === undefined || scale > PACKET_BYTES_MAX) return null
      length += (byte & 127) * scale
      more = byte > 127
    }
    if (length > PACKET_BYTES_MAX || length > bytes.length - at) return null
    packets.push(bytes.subarray(at, at + length))
    at += length
  } while (at < bytes.length)
  return packets
}

/**
 * A type byte, then each packet behind its sequence and its length: as parts that follow one another, so that large
 * packets leave as they came, without being copied.
 */
export function encodeNumberedPackets(
  type: number,
  packets: readonly NumberedPacket[],
  allocate: Allocate = allocateZeroed,
): Uint8Array[] {
  const parts: Uint8Array[] = []
  let from = 0
  for (let i = 0; i < packets.length; i++) {
    const { packet } = packets[i]!
    if (packet.length < COPIED_BYTES_MAX) continue
    parts.push(encodeRun(allocate, parts.length === 0 ? type : null, packets, from, i, true), packet)
    from = i + 1
  }
  if (from < packets.length)
    parts.push(encodeRun(allocate, parts.length === 0 ? type : null, packets, from, packets.length - 1, false))
  return parts
}

/** The packets from one index to another in one allocation, the last of them perhaps without its bytes. */
function encodeRun(
  allocate: Allocate,
  type: number | null,
  packets: readonly NumberedPacket[],
  from: number,
  to: number,
  bare: boolean,
): Uint8Array {
  let size = type === null ? 0 : 1
  for (let i = from; i <= to; i++) {
    const item = packets[i]
    if (item === undefined) continue
    size += uintBytes(item.sequence) + uintBytes(item.packet.length) + (bare && i === to ? 0 : item.packet.length)
  }
  const run = allocate(size)
  let at = 0
  if (type !== null) run[at++] = type
  for (let i = from; i <= to; i++) {
    const item = packets[i]
    if (item === undefined) continue
    at = putUint(run, at, item.sequence)
    at = bare && i === to ? putUint(run, at, item.packet.length) : putPacket(run, at, item.packet)
  }
  return run
}

/**
 * A frame takes no more packets beyond this: sixteen small ones to a frame is where the gain ends, and a frame longer
 * than a socket's read has to be put together by copying.
 */
const FRAME_BYTES_TARGET = 16_384

/**
 * Collects what one loop turn has for one destination into as few frames as fit. The owner flushes it once per turn:
 * sixteen packets to a frame move five times as many as one by one.
 */
export class FrameFiller<Item> {
  readonly #bytesOf: (item: Item) => number
  #frames: Item[][] = []
  #bytes = FRAME_BYTES_TARGET
  #items = 0

  constructor(bytesOf: (item: Item) => number) {
    this.#bytesOf = bytesOf
  }

  add(item: Item): void {
    const bytes = this.#bytesOf(item)
    // One byte of type stands before the items.
    if (this.#bytes + bytes > FRAME_BYTES_TARGET || this.#items === PACKETS_PER_FRAME_MAX) {
      this.#frames.push([])
      this.#bytes = 1
      this.#items = 0
    }
    this.#frames.at(-1)?.push(item)
    this.#bytes += bytes
    this.#items += 1
  }

  get isEmpty(): boolean {
    return this.#frames.length === 0
  }

  /** The items of each frame, in order; the filler is empty afterwards. */
  take(): Item[][] {
    const frames = this.#frames
    this.#frames = []
    this.#bytes = FRAME_BYTES_TARGET
    this.#items = 0
    return frames
  }
}

/** What a packet takes in a frame at most: sequence, length and bytes. */
export const packetFrameBytes = (packet: Uint8Array): number => 8 + 3 + packet.length

function putPacket(frame: Uint8Array, at: number, packet: Uint8Array): number {
  const start = putUint(frame, at, packet.length)
  frame.set(packet, start)
  return start + packet.length
}

/** The same numbers as `writeUint`: seven bits to a byte, the lowest first. */
function putUint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value
  let next = at
  while (rest > 127) {
    bytes[next++] = 128 | (rest % 128)
    rest = Math.floor(rest / 128)
  }
  bytes[next++] = rest
  return next
}

function uintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) bytes += 1
  return bytes
}

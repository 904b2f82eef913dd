import { FRAME_BYTES_MAX } from '../limits.ts'

/** A packet with its place in a mailbox. Sequences grow; those of expired packets are left out. */
export interface NumberedPacket {
  readonly sequence: number
  readonly packet: Uint8Array
}

/** Empty packets do not exist, so a frame holds fewer; this bounds what a decoder makes of hostile bytes. */
export const PACKETS_PER_FRAME_MAX = 4_096

/** A type byte, then each packet behind its length, and behind its sequence if there are any. */
export function encodePackets(
  type: number,
  packets: readonly Uint8Array[],
  sequences: readonly number[] | null,
): Uint8Array {
  let size = 1
  for (const [i, packet] of packets.entries()) {
    size += uintBytes(sequences?.[i]) + uintBytes(packet.length) + packet.length
  }
  const frame = new Uint8Array(size)
  frame[0] = type
  let at = 1
  for (const [i, packet] of packets.entries()) {
    const sequence = sequences?.[i]
    if (sequence !== undefined) at = putUint(frame, at, sequence)
    at = putUint(frame, at, packet.length)
    frame.set(packet, at)
    at += packet.length
  }
  return frame
}

/**
 * Collects what one loop turn has for one destination into as few frames as fit. The owner flushes it once per turn:
 * sixteen packets to a frame move five times as many as one by one.
 */
export class FrameFiller<Item> {
  readonly #bytesOf: (item: Item) => number
  #frames: Item[][] = []
  #bytes = FRAME_BYTES_MAX
  #items = 0

  constructor(bytesOf: (item: Item) => number) {
    this.#bytesOf = bytesOf
  }

  add(item: Item): void {
    const bytes = this.#bytesOf(item)
    // One byte of type stands before the items.
    if (this.#bytes + bytes > FRAME_BYTES_MAX || this.#items === PACKETS_PER_FRAME_MAX) {
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
    this.#bytes = FRAME_BYTES_MAX
    this.#items = 0
    return frames
  }
}

/** What a packet takes in a frame at most: sequence, length and bytes. */
export const packetFrameBytes = (packet: Uint8Array): number => 8 + 3 + packet.length

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

function uintBytes(value: number | undefined): number {
  if (value === undefined) return 0
  let bytes = 1
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) bytes += 1
  return bytes
}

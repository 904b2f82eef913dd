import type { Slab } from '../core/slabs.ts'
import { unmaskInto } from './unmask.ts'

/**
 * Reads whole binary messages off a socket's bytes, straight into memory that is used again, and leaves everything else
 * to ws. ws would have each message put together, unmasked in place and left to the collector; a relay does little else.
 *
 * Taken here: a frame that is final and binary, with no reserved bit, masked, and no longer than `bytesMax` (RFC 6455
 * §5.2). Any other frame goes to ws as it came, and what ws protects from stays with it:
 *   - ping and pong, and longer binary messages, frame by frame: the bound of pongs that wait, the limit of a message;
 *   - from the first frame that is anything else on, all of the connection: reserved bits, opcodes, missing masks, text,
 *     fragments and their count, control frames that are too long or in pieces, lengths beyond the limit or beyond a
 *     safe number, and the closing handshake with its codes and its text.
 *
 * Invariants: 1. ws gets whole frames, in order among themselves and with those taken here. 2. Nothing is allocated for
 * a length that is not within `bytesMax`, and for one that is announced no more than `EARLY_BYTES` or four times what has
 * come of it. 3. Untrusted bytes in; never throws.
 */
export interface ReceiverSink {
  /** Memory for a message of so many bytes. */
  allocate(bytes: number): Slab
  /** The same bytes in memory for so many. The slab itself is the callee's. */
  grow(slab: Slab, bytes: number): Slab
  /** The first `slab.length` bytes are a message. Its memory is the callee's from here on. */
  message(slab: Slab): void
  /** Bytes of a frame that is for ws. */
  pass(bytes: Uint8Array): void
  /** This is for ws, and so is whatever else the peer sends: nothing is given to `take` from here on. */
  handOver(bytes: Uint8Array): void
}

/** Two bytes, a length of eight, a mask of four. */
const HEAD_BYTES_MAX = 14
const LEAST_HEAD_BYTES = 2
const MASK_BYTES = 4
const FINAL_BINARY = 0x82
const FINAL_PING = 0x89
const FINAL_PONG = 0x8a
const MASKED = 0x80
const LENGTH_16 = 126
const LENGTH_64 = 127
const EARLY_BYTES = 65_536
const AHEAD = 4

export class Receiver {
  /** The longest message that is taken here: none at first, since memory of a stranger's would be allocated. */
  bytesMax = -1
  readonly #sink: ReceiverSink
  /** Of the longest message that ws takes: one that announces more is handed over before any of it is read. */
  readonly #messageBytesMax: number
  readonly #head = new Uint8Array(HEAD_BYTES_MAX)
  /** As it stands where the payload goes on. */
  readonly #mask = new Uint8Array(MASK_BYTES)
  #headBytes = 0
  #headDue = LEAST_HEAD_BYTES
  #slab: Slab | null = null
  #messageBytes = 0
  #filled = 0
  /** Bytes of a frame for ws that are still to come. */
  #passing = 0
  #isOver = false

  constructor(sink: ReceiverSink, messageBytesMax: number) {
    this.#sink = sink
    this.#messageBytesMax = messageBytesMax
  }

  /** What the socket has read. It is lent for the call, except for what ws is given of it. */
  take(read: Uint8Array): void {
    let at = 0
    while (at < read.length && !this.#isOver) {
      if (this.#slab !== null) at = this.#fill(this.#slab, read, at)
      else if (this.#passing > 0) at = this.#pass(read, at)
      else at = this.#readHead(read, at)
    }
  }

  #fill(slab: Slab, read: Uint8Array, at: number): number {
    const bytes = Math.min(slab.length - this.#filled, read.length - at)
    unmaskInto(read.subarray(at, at + bytes), this.#mask, slab.memory, this.#filled)
    this.#filled += bytes
    if (this.#filled === this.#messageBytes) this.#endMessage(slab)
    else {
      turn(this.#mask, bytes)
      if (this.#filled === slab.length) this.#slab = this.#sink.grow(slab, this.#messageBytes)
    }
    return at + bytes
  }

  #pass(read: Uint8Array, at: number): number {
    const end = Math.min(read.length, at + this.#passing)
    this.#passing -= end - at
    this.#sink.pass(read.subarray(at, end))
    return end
  }

  #readHead(read: Uint8Array, from: number): number {
    const head = this.#head
    let at = from
    while (this.#headBytes < this.#headDue) {
      if (at === read.length) return at
      head[this.#headBytes++] = read[at++]!
      if (this.#headBytes !== LEAST_HEAD_BYTES) continue
      if (!isPlain(head)) return this.#handOver(read, at)
      const length = head[1]! & ~MASKED
      this.#headDue += MASK_BYTES + (length === LENGTH_64 ? 8 : length === LENGTH_16 ? 2 : 0)
    }
    const length = lengthOf(head)
    if (length > this.#messageBytesMax) return this.#handOver(read, at)
    if (head[0] === FINAL_BINARY && length <= this.bytesMax) {
      for (let i = 0; i < MASK_BYTES; i++) this.#mask[i] = head[this.#headBytes - MASK_BYTES + i]!
      const isSoonHere = length <= Math.max(EARLY_BYTES, AHEAD * (read.length - at))
      this.#slab = this.#sink.allocate(isSoonHere ? length : EARLY_BYTES)
      this.#messageBytes = length
      this.#filled = 0
      if (length === 0) this.#endMessage(this.#slab)
    } else {
      this.#passing = length
      this.#sink.pass(head.slice(0, this.#headBytes))
      this.#beginFrame()
    }
    return at
  }

  #endMessage(slab: Slab): void {
    this.#slab = null
    this.#beginFrame()
    this.#sink.message(slab)
  }

  #beginFrame(): void {
    this.#headBytes = 0
    this.#headDue = LEAST_HEAD_BYTES
  }

  #handOver(read: Uint8Array, at: number): number {
    this.#isOver = true
    this.#sink.pass(this.#head.slice(0, this.#headBytes))
    this.#sink.handOver(read.subarray(at))
    return read.length
  }
}

/** By its first two bytes: a frame after which the next one begins as if this one had not been. */
function isPlain(head: Uint8Array): boolean {
  const [first, second = 0] = head
  if ((second & MASKED) === 0) return false
  return first === FINAL_BINARY || ((first === FINAL_PING || first === FINAL_PONG) && (second & ~MASKED) < LENGTH_16)
}

function lengthOf(head: Uint8Array): number {
  const short = head[1]! & ~MASKED
  if (short < LENGTH_16) return short
  const end = short === LENGTH_16 ? 4 : 10
  let length = 0
  // Beyond 2^53 it is not exact, and far beyond any limit.
  for (let at = 2; at < end; at++) length = length * 256 + head[at]!
  return length
}

/** The mask as it stands after so many bytes. */
function turn(mask: Uint8Array, bytes: number): void {
  const [a = 0, b = 0, c = 0, d = 0] = mask
  const four = [a, b, c, d]
  for (let i = 0; i < MASK_BYTES; i++) mask[i] = four[(i + bytes) & 3]!
}

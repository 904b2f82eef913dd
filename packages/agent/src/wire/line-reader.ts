import { isUtf8 } from 'node:buffer'

const NEWLINE = 10
const FIRST_CAPACITY = 4_096

/** A line that is not UTF-8: decoding it anyway would let two byte strings mean one name. */
export const GARBLED = Symbol('garbled line')
export const TOO_LONG = Symbol('line over the limit')

/**
 * Cuts a stream of bytes into lines. Whole lines of a chunk are decoded together, which is several times faster than
 * one by one; what is left of the last line is copied into one growing buffer, so that a peer that sends single bytes
 * costs what it sent and no more.
 */
export class LineReader {
  readonly #bytesMax: number
  #held = Buffer.alloc(0)
  #heldBytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** The lines that `chunk` completes; `tooLong` when one, finished or not, is over the limit: stop reading then. */
  push(chunk: Buffer): { lines: Lines | undefined; tooLong: boolean } {
    const last = chunk.lastIndexOf(NEWLINE)
    if (last === -1) {
      this.#hold(chunk)
      return { lines: undefined, tooLong: this.#heldBytes > this.#bytesMax }
    }
    // Only the line that began earlier can be longer than one chunk, unless chunks are larger than lines may be.
    if (this.#heldBytes + chunk.indexOf(NEWLINE) > this.#bytesMax) return { lines: undefined, tooLong: true }
    let whole = chunk.subarray(0, last)
    if (this.#heldBytes > 0) {
      whole = Buffer.concat([this.#held.subarray(0, this.#heldBytes), whole])
      this.#heldBytes = 0
      // One long line should not pin a megabyte for the rest of the connection.
      if (this.#held.length > 16 * FIRST_CAPACITY) this.#held = Buffer.alloc(0)
    }
    this.#hold(chunk.subarray(last + 1))
    return { lines: new Lines(whole, this.#bytesMax), tooLong: this.#heldBytes > this.#bytesMax }
  }

  /** What came behind `lines` and is no line yet, or shall be read as something else. */
  rest(lines: Lines): Buffer {
    const held = this.#held.subarray(0, this.#heldBytes)
    this.#heldBytes = 0
    return Buffer.concat([lines.rest(), held])
  }

  #hold(bytes: Buffer): void {
    if (bytes.length === 0) return
    const needed = this.#heldBytes + bytes.length
    if (needed > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.max(FIRST_CAPACITY, needed, 2 * this.#held.length))
      this.#held.copy(larger, 0, 0, this.#heldBytes)
      this.#held = larger
    }
    bytes.copy(this.#held, this.#heldBytes)
    this.#heldBytes = needed
  }
}

/** Some whole lines, to be taken one at a time: the taker may stop when its own queue is full, and go on later. */
export class Lines {
  readonly #bytes: Buffer
  readonly #text: string | undefined
  readonly #bytesMax: number
  #at = 0

  /** `bytes` end where a line ends, without its newline. */
  constructor(bytes: Buffer, bytesMax: number) {
    this.#bytes = bytes
    this.#bytesMax = bytesMax
    this.#text = isUtf8(bytes) ? bytes.toString('utf8') : undefined
  }

  /** The next line, or undefined at the end. */
  next(): string | typeof GARBLED | typeof TOO_LONG | undefined {
    const whole = this.#text ?? this.#bytes
    if (this.#at > whole.length) return undefined
    const newline = typeof whole === 'string' ? whole.indexOf('\n', this.#at) : whole.indexOf(NEWLINE, this.#at)
    const from = this.#at
    const end = newline === -1 ? whole.length : newline
    this.#at = end + 1
    if (end - from > this.#bytesMax) return TOO_LONG
    if (typeof whole === 'string') return whole.slice(from, end)
    const bytes = whole.subarray(from, end)
    return isUtf8(bytes) ? bytes.toString('utf8') : GARBLED
  }
  /** All that `next` has not given, as it came. */
  rest(): Buffer {
    const from = this.#at
    this.#at = Number.POSITIVE_INFINITY
    const left = this.#text === undefined ? this.#bytes.subarray(from) : Buffer.from(this.#text.slice(from))
    return from > (this.#text ?? this.#bytes).length ? left : Buffer.concat([left, Buffer.of(NEWLINE)])
  }
}

import { Duplex } from 'node:stream'
import { MESSAGE_BYTES_MAX, MESSAGE_HEAD_BYTES, RECORD_HEAD_BYTES } from './tunnel-codec.ts'

/** What a front and a home may have on its way to each other for one connection and direction. */
export const WINDOW_BYTES = 1_048_576
/** Credits are told in steps, not for each byte. */
export const CREDIT_STEP_BYTES = 65_536

const FINAL_BINARY = 0x82
const MASKED = 0x80

export interface FarSocketDeps {
  /** Bytes for the node's socket, which its front writes there as they are. */
  down(bytes: Uint8Array): void
  /** The home has done with the connection. */
  end(): void
  /** So many bytes of what came up have left this side's memory. */
  credit(bytes: number): void
}

/**
 * A node's socket as its mesh's home sees it, which another relay holds. It gives WebSocket messages as a client would
 * send them, and carries whatever is written to it. What is not taken at the other end counts as not written, so that
 * a node that does not read looks here as it does there.
 */
export class FarSocket extends Duplex {
  readonly #deps: FarSocketDeps
  #room = WINDOW_BYTES
  #held: (() => void) | null = null
  /** Bytes of messages that nobody has read yet, and those that were read and of which the front knows nothing. */
  #unread = 0
  #owed = 0
  /** While the answer to the made-up upgrade is written, which no node waits for. */
  #isMute = true
  /** What one turn brings in either direction goes on as one piece. */
  #up: Uint8Array[] = []
  #upBytes = 0
  #down: Uint8Array[] = []

  constructor(deps: FarSocketDeps) {
    super()
    this.#deps = deps
  }

  /** From now on what is written is for the node. */
  begin(): void {
    this.#isMute = false
  }

  /** One message of the node. */
  message(bytes: Uint8Array): void {
    if (this.#up.length === 0) queueMicrotask(() => this.#pushUp())
    this.#up.push(headOf(bytes.length), bytes)
    this.#upBytes += bytes.length
  }

  /** The front has let go of so many bytes. */
  credit(bytes: number): void {
    this.#room += bytes
    if (this.#room <= 0) return
    const held = this.#held
    this.#held = null
    held?.()
  }

  override _read(): void {
    this.#read()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#isMute) return done()
    if (this.#down.length === 0) queueMicrotask(() => this.#tellDown())
    this.#down.push(chunk)
    this.#room -= chunk.length
    if (this.#room > 0) done()
    else this.#held = done
  }

  override _final(done: () => void): void {
    this.#end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#end()
    done(error)
  }

  #pushUp(): void {
    const pieces = joined(this.#up)
    this.#up = []
    this.#unread += this.#upBytes
    this.#upBytes = 0
    let wantsMore = true
    for (const piece of pieces) if (!this.destroyed) wantsMore = this.push(piece)
    if (wantsMore && !this.destroyed) this.#read()
  }

  #tellDown(): void {
    const pieces = joined(this.#down)
    this.#down = []
    for (const piece of pieces)
      for (let at = 0; at < piece.length; at += PIECE_BYTES) this.#deps.down(piece.subarray(at, at + PIECE_BYTES))
  }

  #end(): void {
    this.#tellDown()
    this.#deps.end()
  }

  #read(): void {
    this.#owed += this.#unread
    this.#unread = 0
    if (this.#owed < CREDIT_STEP_BYTES) return
    this.#deps.credit(this.#owed)
    this.#owed = 0
  }
}

/** Bytes for a socket may be cut anywhere: as much as fits into one message between relays. */
const PIECE_BYTES = MESSAGE_BYTES_MAX - MESSAGE_HEAD_BYTES - RECORD_HEAD_BYTES

/**
 * From here on a piece goes as it is. Smaller ones are copied together: what they cost each would be more than that, and
 * they share their memory with messages of other nodes, all of which the smallest of them would keep.
 */
const JOINED_BYTES_MAX = 8_192

function joined(pieces: readonly Uint8Array[]): Uint8Array[] {
  const result: Uint8Array[] = []
  let small: Uint8Array[] = []
  const join = (): void => {
    if (small.length > 0) result.push(Buffer.concat(small))
    small = []
  }
  for (const piece of pieces) {
    if (piece.length <= JOINED_BYTES_MAX) {
      small.push(piece)
      continue
    }
    join()
    result.push(piece)
  }
  join()
  return result
}

/** A client's frame (RFC 6455 §5.2) with a mask of zeros, which changes nothing. */
function headOf(length: number): Uint8Array {
  if (length < 126) return Uint8Array.of(FINAL_BINARY, MASKED | length, 0, 0, 0, 0)
  if (length < 65_536) return Uint8Array.of(FINAL_BINARY, MASKED | 126, length >> 8, length & 255, 0, 0, 0, 0)
  const head = new Uint8Array(14)
  head[0] = FINAL_BINARY
  head[1] = MASKED | 127
  new DataView(head.buffer).setBigUint64(2, BigInt(length))
  return head
}

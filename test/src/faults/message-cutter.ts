/**
 * Cuts one direction of a WebSocket connection into pieces that mean something alone: the HTTP head, then message by
 * message, head and mask included, so that whoever holds them may hold one back, swap two or send one again. What is
 * not WebSocket (TLS, another answer than 101) comes through as it came.
 */

const HEAD_END = Buffer.from('\r\n\r\n')
const LENGTH_16 = 126
const LENGTH_64 = 127
const MASK_BYTES = 4

export interface Piece {
  readonly bytes: Buffer
  /** A whole message or control frame of WebSocket; otherwise it must stay where it is. */
  readonly isMessage: boolean
}

export class MessageCutter {
  #rest: Buffer = Buffer.alloc(0)
  #state: 'head' | 'messages' | 'other' = 'head'

  take(chunk: Buffer): Piece[] {
    if (this.#state === 'other') return [{ bytes: chunk, isMessage: false }]
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const pieces: Piece[] = []
    if (this.#state === 'head') {
      if (!looksLikeHttp(this.#rest)) {
        this.#state = 'other'
        pieces.push({ bytes: this.#rest, isMessage: false })
        this.#rest = Buffer.alloc(0)
        return pieces
      }
      const end = this.#rest.indexOf(HEAD_END)
      if (end < 0) return pieces
      pieces.push({ bytes: this.#cut(end + HEAD_END.length), isMessage: false })
      this.#state = 'messages'
    }
    for (
      let bytes = frameBytes(this.#rest);
      bytes !== null && bytes <= this.#rest.length;
      bytes = frameBytes(this.#rest)
    )
      pieces.push({ bytes: this.#cut(bytes), isMessage: true })
    return pieces
  }

  #cut(bytes: number): Buffer {
    const piece = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.subarray(bytes)
    return piece
  }
}

const looksLikeHttp = (bytes: Buffer): boolean => {
  const start = bytes.subarray(0, 4).toString('latin1')
  return 'GET '.startsWith(start) || 'HTTP'.startsWith(start)
}

/** Of the frame that begins here; null while its head is not whole. */
function frameBytes(bytes: Buffer): number | null {
  const second = bytes[1]
  if (second === undefined) return null
  const mask = second & 0x80 ? MASK_BYTES : 0
  const length = second & 0x7f
  if (length < LENGTH_16) return 2 + mask + length
  if (length === LENGTH_16) return bytes.length < 4 ? null : 4 + mask + bytes.readUInt16BE(2)
  return length === LENGTH_64 && bytes.length < 10 ? null : 10 + mask + Number(bytes.readBigUInt64BE(2))
}

import type { Socket } from 'node:net'

/**
 * What a stranger says first, as far as it must be here before anything is spent on it: its first record in TLS, the
 * head of its first request in HTTP. A connection that waits costs its socket; one in a handshake a hundred kilobytes.
 */
export type Language = 'tls' | 'http'

/** A record of TLS, and no less than the longest head that Node takes. */
const BYTES_MAX = 16_384
const RECORD_HEAD_BYTES = 5
const HANDSHAKE = 0x16
const HEAD_END = [0x0d, 0x0a, 0x0d, 0x0a]

/** Takes what was said as it comes, and tells once it is enough; also of what is wrong, for its protocol to refuse. Pure. */
export class FirstWords {
  readonly #language: Language
  #bytes = 0
  readonly #recordHead: number[] = []
  /** How many bytes of the end of a head were the last. */
  #ended = 0

  constructor(language: Language) {
    this.#language = language
  }

  isEnough(chunk: Uint8Array): boolean {
    this.#bytes += chunk.length
    const isWhole = this.#language === 'tls' ? this.#isRecord(chunk) : this.#isHead(chunk)
    return isWhole || this.#bytes >= BYTES_MAX
  }

  #isRecord(chunk: Uint8Array): boolean {
    const head = this.#recordHead
    for (let at = 0; at < chunk.length && head.length < RECORD_HEAD_BYTES; at++) head.push(chunk[at] ?? 0)
    const [type, , , high = 0, low = 0] = head
    if (type !== HANDSHAKE) return true
    return head.length === RECORD_HEAD_BYTES && this.#bytes >= RECORD_HEAD_BYTES + high * 256 + low
  }

  #isHead(chunk: Uint8Array): boolean {
    for (const byte of chunk) {
      if (byte === HEAD_END[this.#ended]) this.#ended += 1
      else this.#ended = byte === HEAD_END[0] ? 1 : 0
      if (this.#ended === HEAD_END.length) return true
    }
    return false
  }
}

export interface FirstWordsDeps {
  readonly language: Language
  readonly waitMs: number
  /** The socket as it came: what it has said will be read from it again. */
  readonly serve: (socket: Socket) => void
  readonly tooLate: (socket: Socket) => void
}

export function awaitFirstWords(socket: Socket, { language, waitMs, serve, tooLate }: FirstWordsDeps): void {
  const words = new FirstWords(language)
  const said: Buffer[] = []
  const leave = (): void => {
    clearTimeout(late)
    socket.off('data', hear).off('end', hangUp).off('error', ignore).off('close', leave)
  }
  const hear = (chunk: Buffer): void => {
    said.push(chunk)
    if (!words.isEnough(chunk)) return
    leave()
    socket.pause()
    socket.unshift(Buffer.concat(said))
    serve(socket)
    // TLS takes what there is by itself, and all that comes from below.
    if (language === 'http') socket.resume()
  }
  // Nobody else hears of these yet; half a connection would stay.
  const hangUp = (): void => void socket.destroy()
  const late = setTimeout(() => {
    leave()
    socket.on('error', ignore)
    tooLate(socket)
  }, waitMs)
  socket.on('data', hear).on('end', hangUp).on('error', ignore).on('close', leave)
}

const ignore = (): void => undefined

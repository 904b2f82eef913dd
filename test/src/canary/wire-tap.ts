import * as net from 'node:net'

/**
 * A TCP proxy that keeps every byte of both directions. What a client sends over WebSocket is masked on the wire, so
 * it keeps the messages unmasked as well: a search in masked bytes would find nothing whatever they say.
 */
export interface WireTap {
  readonly port: number
  /** As they crossed the wire. */
  raw(): Buffer
  /** WebSocket messages from clients, unmasked and put together, each with the time order kept. */
  fromClients(): readonly Buffer[]
  fromServer(): readonly Buffer[]
  close(): Promise<void>
}

export async function openWireTap(targetPort: number, host = '127.0.0.1', port = 0): Promise<WireTap> {
  const raw: Buffer[] = []
  const client: Buffer[] = []
  const server: Buffer[] = []
  const sockets = new Set<net.Socket>()

  const listener = net.createServer((near) => {
    const far = net.connect(targetPort, host)
    pipe(near, far, new MessageReader((message) => client.push(message)))
    pipe(far, near, new MessageReader((message) => server.push(message)))
  })
  function pipe(from: net.Socket, to: net.Socket, reader: MessageReader): void {
    sockets.add(from)
    from.setNoDelay(true)
    from.on('data', (chunk) => {
      raw.push(chunk)
      reader.push(chunk)
      to.write(chunk)
    })
    from.on('error', () => to.destroy())
    from.on('close', () => {
      sockets.delete(from)
      to.destroy()
    })
  }

  await new Promise<void>((resolve) => listener.listen(port, host, resolve))
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('the wire tap has no port')
  return {
    port: address.port,
    raw: () => Buffer.concat(raw),
    fromClients: () => client,
    fromServer: () => server,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

const END_OF_HEAD = '\r\n\r\n'
const CONTINUATION = 0

/** One direction of one connection: an HTTP head, kept as a message of its own, and WebSocket frames after it. */
export class MessageReader {
  readonly #onMessage: (message: Buffer) => void
  #bytes = Buffer.alloc(0)
  #upgraded = false
  #parts: Buffer[] = []

  constructor(onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage
  }

  push(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    if (!this.#upgraded) {
      const end = this.#bytes.indexOf(END_OF_HEAD)
      if (end < 0) return
      this.#upgraded = true
      this.#onMessage(this.#bytes.subarray(0, end))
      this.#bytes = this.#bytes.subarray(end + END_OF_HEAD.length)
    }
    while (this.#frame());
  }

  /** RFC 6455 §5.2. False when the next frame is not whole yet. */
  #frame(): boolean {
    const bytes = this.#bytes
    if (bytes.length < 2) return false
    const [first, second] = [bytes.readUInt8(0), bytes.readUInt8(1)]
    const masked = (second & 0x80) !== 0
    const short = second & 0x7f
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0
    const headBytes = 2 + lengthBytes + (masked ? 4 : 0)
    if (bytes.length < headBytes) return false
    const length =
      lengthBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : lengthBytes === 2 ? bytes.readUInt16BE(2) : short
    if (bytes.length < headBytes + length) return false
    const payload = Buffer.from(bytes.subarray(headBytes, headBytes + length))
    if (masked) {
      const mask = bytes.subarray(headBytes - 4, headBytes)
      for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i & 3] ?? 0)
    }
    this.#bytes = bytes.subarray(headBytes + length)
    const opcode = first & 0x0f
    if (opcode >= 8) {
      this.#onMessage(payload) // Pings, pongs and close reasons carry bytes too.
      return true
    }
    if (opcode !== CONTINUATION) this.#parts = []
    this.#parts.push(payload)
    if ((first & 0x80) !== 0) this.#onMessage(Buffer.concat(this.#parts.splice(0)))
    return true
  }
}

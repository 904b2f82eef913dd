import { createHash, timingSafeEqual } from 'node:crypto'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import { FRAME_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { RelayAddress } from '@sealmesh/protocol/wire/address'
import { type ClientOptions, WebSocket } from 'ws'

export interface DialEvents {
  onFrame(bytes: Uint8Array): void
  /** The kernel has taken all that was queued. */
  onEmpty(): void
  /** Once, after which nothing follows. */
  onClosed(reason: FailureCode): void
}

export interface Dialled {
  /** All frames of one turn in one write. */
  send(frames: readonly Uint8Array[]): void
  /** Bytes that the kernel has not taken yet. */
  readonly queuedBytes: number
  /** Ends politely: what was sent still leaves. No event follows. Resolves when the socket is gone. */
  close(): Promise<void>
  /** Ends now. No event follows. */
  destroy(): void
}

const CONNECT_WAIT_MS = 10_000
const CLOSE_WAIT_MS = 1_000

/** Opens a WebSocket to a relay whose certificate is checked before the first byte of HTTP leaves. */
export function dial(address: RelayAddress, events: DialEvents): Dialled {
  let over = false
  let raw: Socket | null = null
  const connect = (options: { host?: string; port?: number | string }, ready: Ready): Socket | undefined => {
    const [host, port] = [options.host ?? '', Number(options.port)]
    const tls = address.url.startsWith('wss:')
    raw = tls ? connectPinned(host, port, address.pin, ready) : connectTcp({ host, port })
    // Without this a lone packet waits for the acknowledgement of the one before: 30 ms instead of 0.1.
    raw.setNoDelay(true)
    raw.on('drain', () => {
      if (!over) events.onEmpty()
    })
    return tls ? undefined : raw
  }
  const options: ClientOptions = {
    perMessageDeflate: false,
    maxPayload: FRAME_BYTES_MAX,
    handshakeTimeout: CONNECT_WAIT_MS,
    followRedirects: false,
    // Node's `http.request` waits for the callback when nothing is returned; ws's types know only the other form.
    createConnection: connect as unknown as NonNullable<ClientOptions['createConnection']>,
  }
  const ws = new WebSocket(address.url, options)

  const end = (reason: FailureCode): void => {
    if (over) return
    over = true
    ws.terminate()
    raw?.destroy()
    events.onClosed(reason)
  }
  ws.on('message', (data, isBinary) => {
    if (over) return
    if (isBinary && data instanceof Uint8Array) events.onFrame(data)
    else end('FRAME_MALFORMED')
  })
  ws.on('error', (error) => end(reasonOf(error)))
  ws.on('close', () => end('RELAY_CLOSED'))

  return {
    send(frames) {
      if (over || ws.readyState !== WebSocket.OPEN) return
      raw?.cork()
      for (const frame of frames) ws.send(frame)
      raw?.uncork()
    },
    get queuedBytes() {
      return ws.bufferedAmount
    },
    async close() {
      over = true
      if (ws.readyState === WebSocket.CLOSED) return
      const closed = new Promise<void>((resolve) => ws.once('close', () => resolve()))
      ws.close(1000)
      // A relay that does not answer must not hold up whoever leaves.
      const giveUp = setTimeout(() => {
        ws.terminate()
        raw?.destroy()
      }, CLOSE_WAIT_MS)
      await closed
      clearTimeout(giveUp)
    },
    destroy() {
      over = true
      ws.terminate()
      raw?.destroy()
    },
  }
}

type Ready = (error: Error | null, socket?: Socket) => void

/** With a pin the hash of the certificate is all that counts; without one, this machine's authorities. */
function connectPinned(host: string, port: number, pin: string | null, ready: Ready): TLSSocket {
  const name = isIP(host) === 0 ? { servername: host } : {}
  const socket = connectTls({ host, port, ...name, rejectUnauthorized: pin === null })
  socket.once('error', ready)
  socket.once('secureConnect', () => {
    socket.off('error', ready)
    if (pin === null || isPinned(socket, pin)) return ready(null, socket)
    socket.destroy()
    ready(new Failure('RELAY_WRONG_PIN', 'The relay shows a certificate that is not the pinned one.'))
  })
  return socket
}

function isPinned(socket: TLSSocket, pin: string): boolean {
  const hash = createHash('sha256').update(socket.getPeerCertificate().raw).digest()
  return timingSafeEqual(hash, Buffer.from(pin, 'hex'))
}

/** Node's and OpenSSL's words for a certificate that nobody here vouches for. */
const CERTIFICATE_CODES = /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|HOSTNAME_MISMATCH)/

function reasonOf(error: Error & { code?: string }): FailureCode {
  if (error instanceof Failure) return error.code
  if (error.code === undefined) return 'RELAY_UNREACHABLE'
  if (CERTIFICATE_CODES.test(error.code)) return 'RELAY_WRONG_PIN'
  // ws's own words for a message that is too long or breaks RFC 6455.
  if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') return 'FRAME_SIZE'
  return error.code.startsWith('WS_ERR_') ? 'FRAME_MALFORMED' : 'RELAY_UNREACHABLE'
}

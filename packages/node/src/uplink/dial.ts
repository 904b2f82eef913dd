import { createHash, timingSafeEqual } from 'node:crypto'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, TLSSocket } from 'node:tls'
import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import { FRAME_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { RelayAddress } from '@sealmesh/protocol/wire/address'
import { type ClientOptions, WebSocket } from 'ws'
import { openTunnel } from './tunnel.ts'
import { DIRECT, type Ways } from './ways.ts'

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
  /** SHA-256 of the certificate that was shown; null without TLS. */
  readonly certificateHash?: () => Uint8Array | null
  /** Ends politely: what was sent still leaves. No event follows. Resolves when the socket is gone. */
  close(): Promise<void>
  /** Ends now. No event follows. */
  destroy(): void
}

const CONNECT_WAIT_MS = 10_000
const CLOSE_WAIT_MS = 1_000

/** Opens a WebSocket to a relay whose certificate is checked, if any counts, before the first byte of HTTP leaves. */
export function dial(address: RelayAddress, events: DialEvents, waysNow: () => Ways = () => DIRECT): Dialled {
  let over = false
  let raw: Socket | null = null
  /** Ends a way through a proxy that is not open yet. */
  let giveUp = (): void => undefined
  const connect = (options: { host?: string; port?: number | string }, ready: Ready): Socket | undefined => {
    try {
      return begin(options, ready)
    } catch (error) {
      ready(error as Error)
      return undefined
    }
  }
  const begin = (options: { host?: string; port?: number | string }, ready: Ready): Socket | undefined => {
    const [host, port] = [options.host ?? '', Number(options.port)]
    const use = <Used extends Socket>(socket: Used): Used => {
      raw = socket
      // Without this a lone packet waits for the acknowledgement of the one before: 30 ms instead of 0.1.
      socket.setNoDelay(true)
      socket.on('drain', () => {
        if (!over) events.onEmpty()
      })
      return socket
    }
    if (!address.url.startsWith('wss:')) return use(connectTcp({ host, port }))
    const ways = waysNow()
    const expected = ways.relayKeyOnly ? 'any' : address.pin
    if (ways.proxy === null) {
      use(connectPinned({ host, port }, expected, ready))
      return undefined
    }
    giveUp = openTunnel(ways.proxy, host, port, (error, socket) => {
      if (error !== null || socket === undefined) return ready(error)
      use(connectPinned({ host, port, socket }, expected, ready))
    })
    return undefined
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
    giveUp()
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
    certificateHash: () => (raw instanceof TLSSocket ? hashOfCertificate(raw) : null),
    async close() {
      over = true
      if (ws.readyState === WebSocket.CLOSED) return
      const closed = new Promise<void>((resolve) => ws.once('close', () => resolve()))
      ws.close(1000)
      // A relay that does not answer must not hold up whoever leaves.
      const timer = setTimeout(() => {
        ws.terminate()
        giveUp()
        raw?.destroy()
      }, CLOSE_WAIT_MS)
      await closed
      clearTimeout(timer)
    },
    destroy() {
      over = true
      ws.terminate()
      giveUp()
      raw?.destroy()
    },
  }
}

interface Tunnelled {
  readonly host: string
  readonly port: number
  readonly socket?: Socket
}
type Ready = (error: Error | null, socket?: Socket) => void

/**
 * With a pin the hash of the certificate is all that counts; without one, this machine's authorities; with `any` no
 * certificate does, and the challenge alone shows whether it is the relay.
 */
function connectPinned(to: Tunnelled, pin: string | null, ready: Ready): TLSSocket {
  const name = isIP(to.host) === 0 ? { servername: to.host } : {}
  const socket = connectTls({ ...to, ...name, rejectUnauthorized: pin === null })
  socket.once('error', ready)
  socket.once('secureConnect', () => {
    socket.off('error', ready)
    if (pin === null || pin === 'any' || isPinned(socket, pin)) return ready(null, socket)
    socket.destroy()
    ready(new Failure('RELAY_WRONG_PIN', 'The relay shows a certificate that is not the pinned one.'))
  })
  return socket
}

const isPinned = (socket: TLSSocket, pin: string): boolean =>
  timingSafeEqual(hashOfCertificate(socket), Buffer.from(pin, 'hex'))

const hashOfCertificate = (socket: TLSSocket): Uint8Array =>
  createHash('sha256').update(socket.getPeerCertificate().raw).digest()

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

import { createServer as createHttp, type IncomingMessage, type Server } from 'node:http'
import { createServer as createHttps, Server as HttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { Failure } from '@sealmesh/protocol/errors'
import { FRAME_BYTES_MAX, LOGIN_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { Hono } from 'hono'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Certificate } from './data/certificate.ts'
import { errnoOf } from './data/data-directory.ts'
import { awaitFirstWords, type FirstWordsDeps } from './socket/first-words.ts'
import { Gate, type GateDeps, type SocketEnd } from './socket/gate.ts'
import { Turnstile } from './socket/turnstile.ts'

export interface Listening {
  readonly port: number
  /** For handshakes from now on: that of an authority is good for weeks. */
  renew(certificate: Certificate): void
  /** No new connection from now on; resolves when the last one has gone. */
  close(): Promise<void>
}

export interface ListenDeps extends GateDeps {
  readonly host: string
  readonly port: number
  readonly certificate: Certificate | null
  readonly app: Hono
  /** A TCP connection has come; the relay has ended one that is no WebSocket yet. */
  came(): void
  ended(reason: SocketEnd): void
  connect(ws: WebSocket, socket: Duplex, address: string, welcomed: () => void): void
}

/** A stranger's handshake, and its HTTP request: all of it within this. */
const REQUEST_WAIT_MS = 5_000
/** Often, so that few are over at once: those that came together do not all go in one turn of the loop. */
const CHECK_EVERY_MS = 100
const UNREAD_WAIT_MS = 10_000
/** On one connection, after which its owner comes again: a watch of an hour, but no flood in one packet. */
const REQUESTS_MAX = 32
export const CONNECTIONS_MAX = 10_000 // Far beyond any mesh; below what a small machine's descriptors and memory allow.

/** One port for HTTP and WebSocket. Fails with PORT_IN_USE or ADDRESS_UNAVAILABLE. */
export async function listen(deps: ListenDeps): Promise<Listening> {
  const options = {
    headersTimeout: REQUEST_WAIT_MS,
    requestTimeout: REQUEST_WAIT_MS,
    // Node looks every half a minute otherwise, and lets strangers stay for as long.
    connectionsCheckingInterval: CHECK_EVERY_MS,
    noDelay: true,
  }
  const answer = getRequestListener(deps.app.fetch)
  const handle = (request: Parameters<typeof answer>[0], response: Parameters<typeof answer>[1]): void => {
    void answer(request, response)
  }
  const server: Server =
    deps.certificate === null
      ? createHttp(options, handle)
      : createHttps(
          { ...options, handshakeTimeout: REQUEST_WAIT_MS, key: deps.certificate.key, cert: deps.certificate.cert },
          handle,
        )
  server.maxConnections = CONNECTIONS_MAX
  // Of HTTP alone: who asks and does not read the answer. ws takes it off the sockets that become its own.
  server.timeout = UNREAD_WAIT_MS
  server.maxRequestsPerSocket = REQUESTS_MAX
  const gate = new Gate(deps)
  judgeFirst(server, gate, deps)
  countEnds(server, deps)
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: FRAME_BYTES_MAX,
  })
  // Functions of their own: what they leave behind lives as long as the connection, and must not hold the request, which
  // is a quarter of what a stranger weighs.
  const begin = (ws: WebSocket, socket: Duplex, far: Socket, address: string): void => {
    const release = limitStranger(ws, socket)
    deps.connect(ws, socket, address, () => {
      release()
      gate.welcome(far)
    })
  }
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (socket.destroyed) return
    const { address, end } = gate.atUpgrade(request)
    if (end !== null) {
      deps.ended(end)
      socket.destroy()
      return
    }
    sockets.handleUpgrade(request, socket, head, (ws) => {
      socket.off('error', ignore)
      begin(ws, socket, request.socket, address)
    })
  }
  const turnstile = new Turnstile()
  server.on('upgrade', (request, socket, head) => {
    // Before ws has it, a reset connection would otherwise end the process.
    socket.on('error', ignore)
    turnstile.pass(() => upgrade(request, socket, head))
  })
  await bind(server, deps.host, deps.port)
  return {
    port: (server.address() as AddressInfo).port,
    renew: (certificate) => {
      if (server instanceof HttpsServer) server.setSecureContext({ key: certificate.key, cert: certificate.cert })
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
      }),
  }
}

const ignore = (): void => undefined

/** Before TLS or HTTP has spent anything on a socket, which is most of what a stranger costs. */
function judgeFirst(server: Server, gate: Gate, { came, ended }: Pick<ListenDeps, 'came' | 'ended'>): void {
  const endings = new Turnstile()
  const others = server.listeners('connection') as ((socket: Socket) => void)[]
  const words: FirstWordsDeps = {
    language: server instanceof HttpsServer ? 'tls' : 'http',
    waitMs: REQUEST_WAIT_MS,
    serve: (socket) => {
      for (const other of others) other.call(server, socket)
    },
    tooLate: (socket) => {
      ended('timeout')
      endings.pass(() => socket.destroy())
    },
  }
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    came()
    const end = gate.atAccept(socket)
    if (end === null) return awaitFirstWords(socket, words)
    ended(end)
    // Nothing is left of it in the kernel either.
    socket.resetAndDestroy()
  })
}

/** As Node would end them by itself, and counted. */
function countEnds(server: Server, { came, ended }: Pick<ListenDeps, 'came' | 'ended'>): void {
  const endings = new Turnstile()
  server.on('drop', () => {
    came()
    ended('relay_full')
  })
  server.on('clientError', (error, socket) => {
    const code = errnoOf(error) ?? ''
    // A stranger who left by a reset was not ended by the relay.
    if (code.endsWith('_TIMEOUT')) ended('timeout')
    else if (code.startsWith('ERR_SSL_')) ended('tls')
    else if (code.startsWith('HPE_')) {
      ended('malformed')
      if (socket.writable) socket.write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
    }
    endings.pass(() => socket.destroy())
  })
  server.on('timeout', (socket) => {
    ended('idle')
    endings.pass(() => socket.destroy())
  })
}

/** Before login a peer may send little: a message is refused as soon as it is larger, not when it is whole. */
function limitStranger(ws: WebSocket, socket: Duplex): () => void {
  let bytes = 0
  const count = (chunk: Buffer): void => {
    bytes += chunk.length
    if (bytes > LOGIN_BYTES_MAX) ws.terminate()
  }
  // ws would give it half a minute to answer that the connection is closed.
  const hangUp = (): void => ws.terminate()
  socket.on('data', count)
  ws.on('error', hangUp)
  return () => {
    socket.off('data', count)
    ws.off('error', hangUp)
  }
}

function bind(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const errno = errnoOf(error)
      if (errno === 'EADDRINUSE')
        return reject(new Failure('PORT_IN_USE', `Another process is listening on port ${port}.`, { cause: error }))
      if (errno === 'EACCES')
        return reject(
          new Failure('ADDRESS_UNAVAILABLE', `This user may not listen on port ${port}.`, {
            cause: error,
            next: 'choose a port above 1023: --port N',
          }),
        )
      reject(new Failure('ADDRESS_UNAVAILABLE', `Cannot listen on ${host} (${errno ?? 'unknown'}).`, { cause: error }))
    })
    server.listen({ host, port }, () => resolve())
  })
}

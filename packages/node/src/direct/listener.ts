import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Failure } from '@sealmesh/protocol/errors'
import type { PacketId } from '@sealmesh/protocol/ids'
import { FRAME_BYTES_MAX, LOGIN_BYTES_MAX, LOGIN_WAIT_MS } from '@sealmesh/protocol/limits'
import { LOGIN_NONCE_BYTES } from '@sealmesh/protocol/wire/challenge'
import { decodeFrame, encodeFrame, type Frame } from '@sealmesh/protocol/wire/frame'
import { FrameFiller, type NumberedPacket, packetFrameBytes } from '@sealmesh/protocol/wire/packets'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { Logger } from 'pino'
import { type WebSocket, WebSocketServer } from 'ws'
import { errnoOf } from '../keys/disk-failure.ts'
import type { DirectCertificate } from './certificate.ts'
import { directIdOf } from './core/direct-key.ts'
import { addressGroup } from './core/address-group.ts'
import { CONNECTIONS_MAX, PING_EVERY_MS } from './core/direct-limits.ts'
import { generationOf } from './core/generation.ts'
import { PeerSession, type SessionEffect } from './core/peer-session.ts'
import { Strangers } from './core/strangers.ts'
import type { DirectLink } from './direct-link.ts'
import type { DirectLinks } from './direct-links.ts'
import type { Members } from './members.ts'

export interface ListenerDeps {
  readonly listen: { readonly host: string; readonly port: number }
  readonly certificate: DirectCertificate
  readonly members: Members
  readonly links: DirectLinks
  readonly log: Pick<Logger, 'info' | 'warn'>
  readonly monotonicMs: () => number
}

const TICK_MS = 1_000
const CLOSE_WAIT_MS = 1_000
const ONE_REQUEST = 1

/** The port of one node, for other members alone: a few dozen connections, each the driver of a `PeerSession`. */
export class Listener {
  readonly #deps: ListenerDeps
  readonly #server: Server
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX })
  readonly #strangers = new Strangers()
  readonly #connections = new Set<Accepted>()
  readonly #timer: NodeJS.Timeout

  private constructor(deps: ListenerDeps) {
    this.#deps = deps
    const { key, cert } = deps.certificate
    this.#server = createServer(
      {
        key,
        cert,
        handshakeTimeout: LOGIN_WAIT_MS,
        headersTimeout: LOGIN_WAIT_MS,
        requestTimeout: LOGIN_WAIT_MS,
        connectionsCheckingInterval: TICK_MS,
        keepAliveTimeout: LOGIN_WAIT_MS,
        noDelay: true,
      },
      (_, response) => void response.writeHead(426, { connection: 'close' }).end(),
    )
    this.#server.maxConnections = CONNECTIONS_MAX
    this.#server.maxRequestsPerSocket = ONE_REQUEST
    this.#server.on('connection', (socket: Socket) => this.#admit(socket))
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.#timer = setInterval(() => {
      for (const each of this.#connections) each.tick()
    }, TICK_MS)
    this.#timer.unref()
  }

  /** Fails with PORT_IN_USE or ADDRESS_UNAVAILABLE. */
  static async open(deps: ListenerDeps): Promise<Listener> {
    const listener = new Listener(deps)
    try {
      await bind(listener.#server, deps.listen)
    } catch (error) {
      clearInterval(listener.#timer)
      throw error
    }
    return listener
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const each of this.#connections) each.end('RELAY_CLOSED')
    this.#server.closeAllConnections()
    await closed
  }

  #admit(socket: Socket): void {
    const address = addressGroup(socket.remoteAddress ?? '')
    // A handshake that fails, or a reset, is told to nobody here.
    socket.on('error', () => undefined)
    if (!this.#strangers.admit(address, this.#deps.monotonicMs())) return void socket.destroy()
    const place = placeOf(socket)
    this.#members.set(place, 'stranger')
    socket.once('close', () => {
      this.#strangers.left(address, this.#members.get(place) ?? 'stranger')
      this.#members.delete(place)
    })
  }
  /** By far end: with TLS the socket of a WebSocket is another object than the one that was admitted. */
  readonly #members = new Map<string, 'stranger' | 'member'>()

  #upgrade(request: Parameters<WebSocketServer['handleUpgrade']>[0], socket: Duplex, head: Buffer): void {
    const ignore = (): void => undefined
    socket.on('error', ignore)
    this.#sockets.handleUpgrade(request, socket, head, (ws) => {
      const { remoteAddress = '', remotePort = 0 } = request.socket
      const welcome = limitStranger(ws, socket, () => {
        this.#members.set(placeOf(request.socket), 'member')
        this.#strangers.welcome(addressGroup(remoteAddress))
      })
      const shown = remoteAddress.includes('.') ? addressGroup(remoteAddress) : `[${remoteAddress}]`
      const accepted = new Accepted(ws, socket, `${shown}:${remotePort}`, welcome, this.#deps)
      this.#connections.add(accepted)
      ws.once('close', () => this.#connections.delete(accepted))
    })
  }
}

const placeOf = ({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string =>
  `${remoteAddress} ${remotePort}`

/** Before login a peer may send little: a message is refused as soon as it is larger, not when it is whole. */
function limitStranger(ws: WebSocket, socket: Duplex, welcome: () => void): () => void {
  let bytes = 0
  const count = (chunk: Buffer): void => {
    bytes += chunk.length
    if (bytes > LOGIN_BYTES_MAX) ws.terminate()
  }
  socket.on('data', count)
  return () => {
    socket.off('data', count)
    welcome()
  }
}

/** One connection. */
class Accepted implements DirectLink {
  readonly dialledBy = 'there'
  readonly at: string
  readonly sinceMs = Date.now()
  readonly #ws: WebSocket
  readonly #socket: Duplex
  readonly #session: PeerSession
  readonly #welcome: () => void
  readonly #deps: ListenerDeps
  readonly #packets = new FrameFiller<NumberedPacket>((item) => packetFrameBytes(item.packet))
  #control: Uint8Array[] = []
  #flushing: NodeJS.Immediate | null = null
  #pingAtMs = 0
  readonly #probes: (() => void)[] = []

  constructor(ws: WebSocket, socket: Duplex, at: string, welcome: () => void, deps: ListenerDeps) {
    this.#ws = ws
    this.#socket = socket
    this.#welcome = welcome
    this.#deps = deps
    this.at = at
    const { members, certificate } = deps
    const nonce = randomBytes(LOGIN_NONCE_BYTES)
    const { login, sodium } = members
    this.#session = new PeerSession(
      {
        // Without a key nobody can know us: a challenge that nobody answers.
        id: directIdOf(members.key, login.publicKey, nonce, sodium),
        nonce,
        generation: generationOf(certificate.hash),
        secret: login.secretKey,
        sodium,
        member: (key) => members.byLoginKey(key),
        isOwnMailbox: (mailbox) => members.isOwnMailbox(mailbox),
      },
      deps.monotonicMs(),
    )
    ws.on('message', (data, isBinary) => this.#hear(isBinary && data instanceof Uint8Array ? data : new Uint8Array()))
    ws.on('pong', () => this.#alive())
    ws.on('error', () => ws.terminate())
    ws.on('close', () => this.#gone('RELAY_CLOSED'))
    this.#control.push(encodeFrame(this.#session.challenge()))
    this.#flushSoon()
  }

  get peer(): DirectLink['peer'] {
    const { peer } = this.#session
    return peer ?? this.#lastPeer!
  }
  #lastPeer: DirectLink['peer'] | undefined

  send(id: PacketId, packet: Uint8Array): 'sent' | 'full' | 'down' {
    const { sent, effects } = this.#session.send(id, packet)
    this.#run(effects)
    return sent
  }

  probe(): Promise<void> {
    return new Promise((resolve) => {
      this.#probes.push(resolve)
      if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping()
    })
  }

  end(reason: Reason): void {
    this.#run(this.#session.end(reason))
  }

  tick(): void {
    const nowMs = this.#deps.monotonicMs()
    this.#run(this.#session.tick(nowMs))
    if (this.#session.peer === undefined || nowMs < this.#pingAtMs) return
    this.#pingAtMs = nowMs + PING_EVERY_MS
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping()
  }

  #alive(): void {
    this.#session.alive(this.#deps.monotonicMs())
    for (const resolve of this.#probes.splice(0)) resolve()
  }

  #hear(bytes: Uint8Array): void {
    const frame = decodeFrame(bytes)
    this.#run(
      frame.ok ? this.#session.hear(frame.value, this.#deps.monotonicMs()) : this.#session.end(frame.error.code),
    )
  }

  #run(effects: readonly SessionEffect[]): void {
    for (const effect of effects) this.#act(effect)
  }

  #act(effect: SessionEffect): void {
    const { links, log } = this.#deps
    switch (effect.type) {
      case 'frame':
        return this.#queue(effect.frame)
      case 'live':
        this.#lastPeer = effect.peer
        this.#welcome()
        log.info({ dialled: 'there' }, 'a direct link is live')
        return links.arrived(this)
      case 'take':
        return links.heard(this, {
          type: 'deliver',
          packet: effect.packet,
          acknowledge: () => this.#run(this.#session.taken(effect.id)),
        })
      case 'delivered':
        for (const packet of effect.ids)
          links.heard(this, { type: 'answer', packet, outcomes: [{ outcome: 'delivered' }] })
        return
      case 'room':
        return links.heard(this, { type: 'room' })
      case 'pause':
        return this.#ws.pause()
      case 'resume':
        return this.#ws.resume()
      case 'end':
        log.info({ reason: effect.reason }, 'a direct connection was ended')
        this.#flush()
        closeSoftly(this.#ws)
        return this.#gone(effect.reason)
    }
  }

  #gone(reason: Reason): void {
    // Whatever is heard or called from now on finds it over.
    this.#session.end(reason)
    this.#probes.length = 0
    if (this.#lastPeer !== undefined) this.#deps.links.left(this, reason)
  }

  #queue(frame: Frame): void {
    if (frame.type === 'deliver') for (const packet of frame.packets) this.#packets.add(packet)
    else this.#control.push(encodeFrame(frame))
    this.#flushSoon()
  }

  #flushSoon(): void {
    // After the poll phase: everything that this turn has for one peer leaves in one write.
    this.#flushing ??= setImmediate(() => this.#flush())
  }

  #flush(): void {
    if (this.#flushing !== null) clearImmediate(this.#flushing)
    this.#flushing = null
    const frames = [
      ...this.#control,
      ...this.#packets.take().map((packets) => encodeFrame({ type: 'deliver', packets })),
    ]
    this.#control = []
    if (this.#ws.readyState !== this.#ws.OPEN) return
    this.#socket.cork()
    for (const frame of frames) this.#ws.send(frame)
    this.#socket.uncork()
  }
}

function closeSoftly(ws: WebSocket): void {
  ws.close(1000)
  const giveUp = setTimeout(() => ws.terminate(), CLOSE_WAIT_MS)
  ws.once('close', () => clearTimeout(giveUp))
}

function bind(server: Server, { host, port }: ListenerDeps['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const errno = errnoOf(cause)
      const next = 'name another in direct.listen of the config'
      if (errno === 'EADDRINUSE')
        return reject(new Failure('PORT_IN_USE', `Another process is listening on port ${port}.`, { cause, next }))
      reject(new Failure('ADDRESS_UNAVAILABLE', `Cannot listen on ${host} (${errno ?? 'unknown'}).`, { cause, next }))
    })
    server.listen({ host, port }, () => resolve())
  })
}

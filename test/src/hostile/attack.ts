import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

/**
 * Strangers who want a relay to have no time or room for others. Each keeps its number of connections up. Those that wait
 * stay until they are ended, and are dialled again a second later. Those that have said all they wanted hang up by
 * themselves and come again, once in a second whatever the other end does: beside a sink as beside a relay.
 */

export const ATTACKS = [
  /** Says nothing at all. */
  'tcp-silent',
  /** Begins a handshake and stops. For a relay with TLS. */
  'tls-silent',
  /** Sends its HTTP head byte by byte. */
  'http-drip',
  /** Asks again and again, and reads no answer. */
  'http-unread',
  /** Is greeted, and stays silent. */
  'ws-silent',
  /** Announces a login, and sends it byte by byte. */
  'ws-drip',
  /** Sends noise instead of frames. */
  'ws-garbage',
  /** Announces a message of gigabytes, and begins to send it. */
  'ws-oversized',
  /** Comes, is greeted, goes, and comes again. */
  'reconnect',
] as const

export type AttackKind = (typeof ATTACKS)[number]

export interface AttackOptions {
  readonly port: number
  readonly connections: number
  /** How many addresses of loopback they come from: 127.0.3.1 and on. */
  readonly addresses?: number
}

const AGAIN_MS = 1_000
/** These have done what they can as soon as they are let in. */
const IMPATIENT: ReadonlySet<AttackKind> = new Set(['ws-garbage', 'ws-oversized', 'reconnect'])
const DRIP_MS = 300
/** Opened in steps, so that the attack is the connections and not their opening. */
const STEP = 50
const STEP_MS = 25

export const UPGRADE =
  'GET / HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
const ASK = 'GET /metrics HTTP/1.1\r\nHost: relay\r\n\r\n'
const ASKS = 100
/** A record of TLS that says it has 512 bytes, and its first six. */
const HANDSHAKE_BEGUN = Buffer.from('16030102000100', 'hex')
/** Masked binary frames: of 3,000 bytes, and of 8 GiB. */
const LOGIN_BEGUN = Buffer.from('82fe0bb800000000', 'hex')
const OVERSIZED_BEGUN = Buffer.from('82ff000000020000000000000000', 'hex')

export class Attack {
  readonly #kind: AttackKind
  readonly #options: AttackOptions
  readonly #sockets = new Set<Socket>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #opened = 0
  #ended = 0
  #over = false

  constructor(kind: AttackKind, options: AttackOptions) {
    this.#kind = kind
    this.#options = options
    for (let at = 0; at < options.connections; at += STEP)
      this.#later((at / STEP) * STEP_MS, () => {
        for (let i = 0; i < STEP && at + i < options.connections; i++) this.#open()
      })
  }

  /** So many have been opened until now, those that were opened again included. */
  get opened(): number {
    return this.#opened
  }

  /** So many of these the other end has ended. */
  get ended(): number {
    return this.#ended
  }

  stop(): void {
    this.#over = true
    for (const timer of this.#timers) clearTimeout(timer)
    for (const socket of this.#sockets) socket.destroy()
  }

  #open(): void {
    const { port, addresses = 50 } = this.#options
    const localAddress = `127.0.3.${1 + (this.#opened++ % addresses)}`
    const openedMs = performance.now()
    const socket = connect({ host: '127.0.0.1', port, localAddress })
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    const isImpatient = IMPATIENT.has(this.#kind)
    const leaving = isImpatient ? setTimeout(() => this.#leave(socket), AGAIN_MS) : undefined
    socket.on('close', () => {
      clearTimeout(leaving)
      if (this.#sockets.delete(socket)) this.#ended += 1
      const stayedMs = isImpatient ? performance.now() - openedMs : 0
      if (!this.#over) this.#later(Math.max(0, AGAIN_MS - stayedMs), () => this.#open())
    })
    socket.on('connect', () => this.#begin(socket))
  }

  #begin(socket: Socket): void {
    switch (this.#kind) {
      case 'tcp-silent':
        socket.resume()
        return
      case 'tls-silent':
        socket.write(HANDSHAKE_BEGUN)
        socket.resume()
        return
      case 'http-drip':
        socket.write('GET / HTTP/1.1\r\nX-Long: ')
        socket.resume()
        return this.#drip(socket)
      case 'http-unread':
        for (let i = 0; i < ASKS; i++) socket.write(ASK)
        socket.pause()
        return
      case 'ws-silent':
        return this.#upgrade(socket, () => undefined)
      case 'ws-drip':
        return this.#upgrade(socket, () => {
          socket.write(LOGIN_BEGUN)
          this.#drip(socket)
        })
      case 'ws-garbage':
        return this.#upgrade(socket, () => socket.write(randomBytes(2_048)))
      case 'ws-oversized':
        return this.#upgrade(socket, () => {
          socket.write(OVERSIZED_BEGUN)
          socket.write(Buffer.alloc(65_536))
        })
      case 'reconnect':
        return this.#upgrade(socket, () => this.#leave(socket))
    }
  }

  #upgrade(socket: Socket, upgraded: () => void): void {
    socket.write(UPGRADE)
    let done = false
    socket.on('data', () => {
      if (!done && !socket.destroyed) upgraded()
      done = true
    })
  }

  /** By itself: nobody has ended it. */
  #leave(socket: Socket): void {
    this.#sockets.delete(socket)
    socket.destroy()
  }

  #drip(socket: Socket): void {
    const timer = setInterval(() => socket.write('x'), DRIP_MS)
    socket.once('close', () => clearInterval(timer))
  }

  #later(ms: number, act: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      act()
    }, ms)
    this.#timers.add(timer)
    return timer
  }
}

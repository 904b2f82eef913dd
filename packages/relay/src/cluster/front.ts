import { setTimeout as delay } from 'node:timers/promises'
import type { Duplex } from 'node:stream'
import { fromHex } from '@sealmesh/protocol/bytes'
import type { MeshId } from '@sealmesh/protocol/ids'
import { decodeFrame, encodeFrame, type FrameOf } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { WebSocket } from 'ws'
import { greetingBegan, greetingEnded, mayGreet } from '../core/addresses.ts'
import { ADDRESS_WINDOW_MS } from '../core/limits.ts'
import type { RelayState, World } from '../core/state.ts'
import type { Greeted } from '../driver.ts'
import { CREDIT_STEP_BYTES, WINDOW_BYTES } from './far-socket.ts'
import { creditBytes, creditOf } from './home-links.ts'
import type { Home } from './homes.ts'
import { encodeOpenLink, KINDS, type TunnelRecord } from './tunnel-codec.ts'

export interface FrontDeps {
  /** Of this process: who may greet is decided where the socket is. */
  readonly state: RelayState
  readonly world: () => World
  readonly random: (bytes: number) => Uint8Array
  /** Where the login's mesh is. Undefined: this login names none that any relay knows. Fails without JetStream. */
  readonly homeOf: (login: FrameOf<'login'>, nonce: Uint8Array) => Promise<{ mesh: MeshId; home: Home } | undefined>
  readonly isReady: () => boolean
  readonly tell: (peer: string, lane: 'control' | 'bulk', record: TunnelRecord) => void
  /** The core of this process takes it on. */
  readonly connect: (ws: WebSocket, socket: Duplex, address: string, welcomed: () => void, greeted: Greeted) => void
}

const NOTHING = new Uint8Array()
/** What finding a home may take beyond the login's own time: another one's death is noticed within 3 s. */
const FIND_WAIT_MS = 15_000
const OPEN_TRIES = 4
const OPEN_AGAIN_MS = 250
const OPEN_WAIT_MS = 10_000
const RETRY_MS = 1_000
const RETRY_SPREAD_MS = 1_000
const CLOSE_WAIT_MS = 2_000

interface Link {
  readonly ws: WebSocket
  readonly socket: Duplex
  readonly welcomed: () => void
  /** Set while the home has not said whether it takes it. */
  answered: ((isOpen: boolean) => void) | null
  /** Bytes that may still go up. */
  room: number
  /** Bytes that came down and have left this process. */
  owed: number
}

/**
 * The side of a cluster's relay that nodes connect to. It greets, reads the login, and hands the connection to the home
 * of its mesh: to the core of this process, or over NATS to that of another. Of the frames after that it reads none.
 */
export class Front {
  readonly #deps: FrontDeps
  readonly #links = new Map<string, Map<number, Link>>()
  #next = 1

  constructor(deps: FrontDeps) {
    this.#deps = deps
  }

  get count(): number {
    let count = 0
    for (const links of this.#links.values()) count += links.size
    return count
  }

  has(peer: string): boolean {
    return (this.#links.get(peer)?.size ?? 0) > 0
  }

  /** A stranger: as the driver's `connect`. */
  greet(ws: WebSocket, socket: Duplex, address: string, welcomed: () => void): void {
    const { state, random, world, isReady } = this.#deps
    // ws ends the connection itself after an error.
    ws.on('error', () => undefined)
    if (state.stopping || !isReady()) return goodbye(ws, 'RELAY_RESTARTING', retryMs())
    if (!mayGreet(state, address, world())) return goodbye(ws, 'TOO_MANY_LOGINS', ADDRESS_WINDOW_MS)
    greetingBegan(state, address)
    let isGreeting = true
    const ended = (failed: boolean): void => {
      if (isGreeting) greetingEnded(state, address, failed)
      isGreeting = false
      clearTimeout(timer)
    }
    const refuse = (reason: Reason): void => {
      ended(true)
      goodbye(ws, reason, 0)
    }
    const timer = setTimeout(() => refuse('HELLO_TIMEOUT'), state.limits.loginWaitMs)
    const nonce = random(32)
    const { relay, generation } = state
    ws.once('close', () => ended(true))
    ws.once('message', (data, isBinary) => {
      const bytes = isBinary && data instanceof Uint8Array ? Uint8Array.from(data) : NOTHING
      const frame = decodeFrame(bytes)
      if (!frame.ok) return refuse(frame.error.code)
      if (frame.value.type !== 'login') return refuse('FRAME_UNEXPECTED')
      clearTimeout(timer)
      const login = frame.value
      // Nobody has anything to say before it is welcome.
      const tooSoon = (): void => ws.terminate()
      ws.on('message', tooSoon)
      const handing = this.#hand(ws, socket, address, welcomed, { nonce, login: bytes }, login, () => {
        ws.off('message', tooSoon)
        ended(false)
      })
      void handing.catch(() => goodbye(ws, 'RELAY_RESTARTING', retryMs()))
    })
    ws.send(encodeFrame({ type: 'challenge', relay, nonce, generation }))
  }

  take(peer: string, { kind, link: number, bytes }: TunnelRecord): void {
    const link = this.#links.get(peer)?.get(number)
    if (link === undefined) return
    switch (kind) {
      case KINDS.opened:
      case KINDS.refused:
        link.answered?.(kind === KINDS.opened)
        link.answered = null
        return
      case KINDS.down:
        return this.#down(peer, number, link, bytes)
      case KINDS.welcomed:
        return link.welcomed()
      case KINDS.endDown:
        this.#forget(peer, number)
        return closeSoftly(link.ws)
      case KINDS.creditUp:
        link.room += creditOf(bytes)
        if (link.room > 0 && link.ws.isPaused) link.ws.resume()
        return
      default:
    }
  }

  /** The node dials again, and finds its mesh's next home. */
  lost(peer: string): void {
    for (const [number, link] of [...(this.#links.get(peer) ?? [])]) {
      this.#forget(peer, number)
      if (link.answered !== null) link.answered(false)
      else goodbye(link.ws, 'RELAY_RESTARTING', retryMs())
    }
  }

  /** The relay stops: those whose home is elsewhere are told as all others are. */
  stop(): void {
    for (const peer of [...this.#links.keys()]) {
      for (const [number, { ws }] of [...(this.#links.get(peer) ?? [])]) {
        this.#forget(peer, number)
        this.#deps.tell(peer, 'bulk', { kind: KINDS.endUp, link: number, bytes: NOTHING })
        goodbye(ws, 'RELAY_RESTARTING', retryMs())
      }
    }
  }

  async #hand(
    ws: WebSocket,
    socket: Duplex,
    address: string,
    welcomed: () => void,
    greeted: Greeted,
    login: FrameOf<'login'>,
    handed: () => void,
  ): Promise<void> {
    const giveUp = AbortSignal.timeout(FIND_WAIT_MS)
    for (let attempt = 0; attempt < OPEN_TRIES && !giveUp.aborted; attempt++) {
      if (attempt > 0) await delay(OPEN_AGAIN_MS)
      const found = await this.#deps.homeOf(login, greeted.nonce)
      if (ws.readyState !== ws.OPEN) return
      // What nobody knows the core of this process refuses, in its own words.
      if (found === undefined || found.home.type !== 'there') {
        handed()
        return this.#deps.connect(ws, socket, address, welcomed, greeted)
      }
      const number = this.#next++
      const { instance } = found.home
      const link: Link = { ws, socket, welcomed, answered: null, room: WINDOW_BYTES, owed: 0 }
      if (!(await this.#open(instance, number, link, found.mesh, address, greeted))) {
        this.#forget(instance, number)
        continue
      }
      handed()
      return this.#carry(instance, number, link)
    }
    throw new Error('no home takes it')
  }

  #open(
    peer: string,
    number: number,
    link: Link,
    mesh: MeshId,
    address: string,
    { nonce, login }: Greeted,
  ): Promise<boolean> {
    const links = this.#links.get(peer) ?? new Map<number, Link>()
    this.#links.set(peer, links.set(number, link))
    const bytes = encodeOpenLink({ mesh: fromHex(mesh), nonce, address, login })
    this.#deps.tell(peer, 'control', { kind: KINDS.open, link: number, bytes })
    return new Promise((resolve) => {
      const timer = setTimeout(() => link.answered?.(false), OPEN_WAIT_MS)
      link.answered = (isOpen) => {
        clearTimeout(timer)
        link.answered = null
        resolve(isOpen)
      }
    })
  }

  /** From here on messages go up as they come, and bytes down as they are. */
  #carry(peer: string, number: number, link: Link): void {
    const { ws } = link
    const isHere = (): boolean => this.#links.get(peer)?.get(number) === link
    const end = (): void => {
      if (!isHere()) return
      this.#forget(peer, number)
      this.#deps.tell(peer, 'bulk', { kind: KINDS.endUp, link: number, bytes: NOTHING })
    }
    ws.on('close', end)
    if (ws.readyState !== ws.OPEN) return end()
    ws.on('message', (data, isBinary) => {
      if (!isHere()) return
      if (!isBinary || !(data instanceof Uint8Array)) {
        end()
        return goodbye(ws, 'FRAME_MALFORMED', 0)
      }
      this.#deps.tell(peer, 'bulk', { kind: KINDS.up, link: number, bytes: data })
      link.room -= data.length
      if (link.room <= 0) ws.pause()
    })
  }

  #down(peer: string, number: number, link: Link, bytes: Uint8Array): void {
    const { socket } = link
    // Of one turn one write: the home has cut what belongs together where messages end.
    if (socket.writableCorked === 0) {
      socket.cork()
      setImmediate(() => socket.uncork())
    }
    socket.write(bytes, () => {
      link.owed += bytes.length
      if (link.owed < CREDIT_STEP_BYTES || this.#links.get(peer)?.get(number) !== link) return
      this.#deps.tell(peer, 'control', { kind: KINDS.creditDown, link: number, bytes: creditBytes(link.owed) })
      link.owed = 0
    })
  }

  #forget(peer: string, number: number): void {
    const links = this.#links.get(peer)
    links?.delete(number)
    if (links?.size === 0) this.#links.delete(peer)
  }
}

/** Not all at once. */
const retryMs = (): number => RETRY_MS + Math.floor(Math.random() * RETRY_SPREAD_MS)

function goodbye(ws: WebSocket, reason: Reason, retryAfterMs: number): void {
  if (ws.readyState !== ws.OPEN) return
  ws.send(encodeFrame({ type: 'goodbye', reason, retryAfterMs }))
  closeSoftly(ws)
}

function closeSoftly(ws: WebSocket): void {
  ws.close(1000)
  const giveUp = setTimeout(() => ws.terminate(), CLOSE_WAIT_MS)
  ws.once('close', () => clearTimeout(giveUp))
}

import { randomBytes } from 'node:crypto'
import { toHex } from '@sealmesh/protocol/bytes'
import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import { CONNECTION_QUEUE_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { RelayId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import {
  firstUplink,
  nextTickMs,
  stepUplink,
  type Uplink,
  type UplinkEvent,
  type UplinkPace,
} from '@sealmesh/protocol/sync/uplink'
import type { RelayAddress } from '@sealmesh/protocol/wire/address'
import { LOGIN_NONCE_BYTES } from '@sealmesh/protocol/wire/challenge'
import { decodeFrame, encodeFrame, type Frame, type FrameOf } from '@sealmesh/protocol/wire/frame'
import { FrameFiller, packetFrameBytes } from '@sealmesh/protocol/wire/packets'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import { Acknowledgements } from './acknowledgements.ts'
import { type Dialled, dial } from './dial.ts'
import {
  answerChallenge,
  type Identify,
  isGenuine,
  isNewGeneration,
  keyOfRelay,
  type Login,
  type SeenGeneration,
} from './greeting.ts'
import type { LinkEvent, LinkStatus } from './link-event.ts'
import { askAboutSlot, type SlotAnswer, type SlotQuestion } from './slot-question.ts'
import type { Ways } from './ways.ts'
import { judgeVault, type VaultAnswer, type VaultQuestion } from './vault-question.ts'

export type { LinkEvent, LinkStatus } from './link-event.ts'
export type { Login, SeenGeneration } from './greeting.ts'

export interface RelayLink {
  readonly status: LinkStatus
  /** `full`: wait for `room`. `down`: wait for `live`. `atOnce`: who sends has gathered what goes together itself. */
  send(packet: Uint8Array, atOnce?: boolean): 'sent' | 'full' | 'down'
  /** Lets another login key in: an encoded token chain. Rejects with a `Failure`. */
  enrol(token: Uint8Array): Promise<void>
  /** Takes `signRevocation`'s bytes. Rejects with a `Failure`. */
  revoke(revocation: Uint8Array): Promise<void>
  /**
   * The slot as the relay signs that it is now; a set that was answered is durable there. Rejects with a `Failure`:
   * after that nobody knows whether it was set.
   */
  slot(question: SlotQuestion): Promise<SlotAnswer>
  /** Of the vault of this relay, where sealed snapshots lie. Rejects with a `Failure`. */
  vault<Question extends VaultQuestion>(question: Question): Promise<VaultAnswer<Question>>
  /** Resolves when all that lay at the relay before has been delivered here. Rejects with a `Failure`. */
  drained(): Promise<void>
  /** Call it when what `mailboxes` gives has changed. */
  openMailboxes(): void
  /** Dials now instead of when it is due: the network, the token or the relay's record has changed. */
  nudge(): void
  close(): Promise<void>
}

export interface RelayLinkOptions {
  readonly address: RelayAddress
  readonly login: Login
  /** What opens those that are to be read, in the order in which they are. */
  readonly mailboxes: () => readonly Uint8Array[]
  readonly sodium: Sodium
  readonly log: { info(fields: object, message: string): void }
  /** Where the node keeps how far this relay had come. */
  readonly generations: { read(): SeenGeneration | undefined; write(seen: SeenGeneration): void }
  readonly onEvent: (event: LinkEvent) => void
  /** The longest pause before the relay is dialled again, where it is to be shorter than usual. */
  readonly backoffMsMax?: () => number | undefined
  /** Of a far end that is no relay: how it is told from others, and how fast its silence counts. */
  readonly identify?: Identify
  readonly pace?: UplinkPace
  /** For tests; the real ones otherwise. Monotonic, so that a clock that is set back delays nothing. */
  readonly now?: () => number
  readonly dice?: () => number
  readonly dial?: typeof dial
  /** How it is reached from here, asked at each try. Throws CONFIG_INVALID. */
  readonly ways?: () => Ways
}

/** Keeps one node connected to one relay until closed. Never throws for anything that the relay does. */
export function openRelayLink(options: RelayLinkOptions): RelayLink {
  const link = new Link(options)
  link.start()
  return link
}

type Answering = FrameOf<'slot' | 'vaultLacks' | 'vaults' | 'vaultChunk'>

/** `answer`: with what the relay said beside that it is done. */
interface Request {
  readonly answer: (frame: Answering | null) => void
  readonly reject: (reason: unknown) => void
}

interface Session {
  readonly socket: Dialled
  readonly nonce: Uint8Array
  readonly acknowledgements: Acknowledgements
  generation: Uint8Array | null
  /** As the challenge named it, and what it has to sign with; known with the generation. */
  far: { readonly id: RelayId; readonly key: Uint8Array } | null
  acknowledged: number
  /** A lost mark was told: the next acknowledgement clears it. */
  owesAck: boolean
  /** While idled: told so once more since the last pong. */
  idledAgain: boolean
}

class Link implements RelayLink {
  readonly #options: RelayLinkOptions
  readonly #now: () => number
  readonly #dice: () => number
  #uplink: Uplink
  #session: Session | null = null
  /** The relay keeps this connection without deliveries, since the same login has come again elsewhere. */
  #idled = false
  #closed = false
  #timer: NodeJS.Timeout | null = null
  #flushing: NodeJS.Immediate | null = null
  readonly #outgoing = new FrameFiller<Uint8Array>(packetFrameBytes)
  #outgoingBytes = 0
  #full = false
  #requests = new Map<number, Request>()
  #nextRequest = 1

  constructor(options: RelayLinkOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.timeOrigin + performance.now())
    this.#dice = options.dice ?? Math.random
    this.#uplink = firstUplink(this.#now())
  }

  start(): void {
    this.#tickWhenDue()
  }

  get status(): LinkStatus {
    const uplink = this.#uplink
    switch (uplink.state) {
      case 'live':
        if (this.#idled) return { state: 'refused', reason: 'DUPLICATE_LOGIN', nextTryAtMs: null }
        return { state: 'live', reason: null, nextTryAtMs: null }
      case 'greeting':
        return { state: 'connecting', reason: null, nextTryAtMs: null }
      case 'waiting':
        return { state: 'waiting', reason: uplink.reason, nextTryAtMs: uplink.dialAtMs }
      case 'refused':
        return { state: 'refused', reason: uplink.reason, nextTryAtMs: uplink.dialAtMs }
    }
  }

  send(packet: Uint8Array, atOnce = false): 'sent' | 'full' | 'down' {
    const session = this.#session
    if (session === null || this.#uplink.state !== 'live' || this.#idled) return 'down'
    if (this.#outgoingBytes + session.socket.queuedBytes > CONNECTION_QUEUE_BYTES_MAX) {
      this.#full = true
      return 'full'
    }
    this.#outgoing.add(packet)
    this.#outgoingBytes += packet.length
    if (atOnce) queueMicrotask(() => this.#flush())
    else this.#flushSoon()
    return 'sent'
  }

  enrol(token: Uint8Array): Promise<void> {
    return this.#request((request) => ({ type: 'enrol', request, chain: token }), whenDone)
  }

  revoke(revocation: Uint8Array): Promise<void> {
    return this.#request((request) => ({ type: 'revoke', request, revocation }), whenDone)
  }

  slot(question: SlotQuestion): Promise<SlotAnswer> {
    const { address, login, sodium } = this.#options
    const generation = this.#session?.generation ?? new Uint8Array()
    const asked = askAboutSlot(question, { relay: address.relay, generation, mesh: login.mesh }, sodium)
    return this.#request(asked.frameOf, (frame) => {
      if (frame?.type !== 'slot') throw new Failure('RELAY_WRONG_KEY', 'The relay said nothing of the slot.')
      return asked.judge(frame)
    })
  }

  vault<Question extends VaultQuestion>(question: Question): Promise<VaultAnswer<Question>> {
    return this.#request(
      (request) => ({ ...question, request }) as Frame,
      (frame) => judgeVault(question, frame),
    )
  }

  drained(): Promise<void> {
    return this.#request((number) => ({ type: 'ping', number }), whenDone)
  }

  openMailboxes(): void {
    if (this.#session === null || this.#uplink.state !== 'live') return
    const secrets = this.#options.mailboxes()
    if (secrets.length > 0) this.#session.socket.send([encodeFrame({ type: 'open', secrets })])
  }

  nudge(): void {
    this.#feed({ type: 'nudged' })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#flush()
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    const socket = this.#session?.socket
    this.#uplink = { state: 'refused', attempt: 0, dialAtMs: Number.POSITIVE_INFINITY, reason: 'RELAY_CLOSED' }
    this.#endSession('RELAY_CLOSED')
    await socket?.close()
  }

  #feed(event: UplinkEvent): void {
    if (this.#closed) return
    const before = this.#uplink
    const { next, effects } = stepUplink(before, event, {
      nowMs: this.#now(),
      dice: this.#dice(),
      backoffMsMax: this.#options.backoffMsMax?.(),
      pace: this.#options.pace,
    })
    this.#uplink = next
    for (const effect of effects) {
      switch (effect.type) {
        case 'dial':
          this.#dial()
          break
        case 'ping':
          this.#session?.socket.send([encodeFrame({ type: 'ping', number: 0 })])
          break
        case 'hangUp':
          this.#session?.socket.destroy()
          break
      }
    }
    const wasUp = before.state === 'greeting' || before.state === 'live'
    if (wasUp && (next.state === 'waiting' || next.state === 'refused')) {
      const reason = next.reason ?? 'RELAY_CLOSED'
      this.#options.log.info({ reason, state: next.state }, 'relay link is down')
      this.#endSession(reason)
      this.#options.onEvent({ type: 'down', reason })
    }
    this.#tickWhenDue()
  }

  #tickWhenDue(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const dueMs = nextTickMs(this.#uplink, this.#options)
    if (this.#closed) return
    this.#timer = setTimeout(() => this.#feed({ type: 'tick' }), Math.max(0, Math.ceil(dueMs - this.#now())))
  }

  #dial(): void {
    const nonce = randomBytes(LOGIN_NONCE_BYTES)
    const isCurrent = (): boolean => this.#session?.nonce === nonce
    const events = {
      onFrame: (bytes: Uint8Array) => {
        if (isCurrent()) this.#hear(bytes)
      },
      onEmpty: () => {
        if (isCurrent()) this.#offerRoom()
      },
      onClosed: (reason: FailureCode) => {
        if (isCurrent()) this.#feed({ type: 'failed', reason, retryAfterMs: 0 })
      },
    }
    const socket = (this.#options.dial ?? dial)(this.#options.address, events, this.#options.ways)
    const acknowledgements = new Acknowledgements()
    this.#session = {
      socket,
      nonce,
      acknowledgements,
      generation: null,
      far: null,
      acknowledged: 0,
      owesAck: false,
      idledAgain: false,
    }
  }

  #hear(bytes: Uint8Array): void {
    const session = this.#session
    if (session === null) return
    const frame = decodeFrame(bytes)
    if (!frame.ok) return this.#hangUp(frame.error.code)
    if (this.#uplink.state === 'greeting') return this.#greet(frame.value, session)
    // No effect follows from being heard, and it happens for every frame: no timer is touched.
    this.#uplink = stepUplink(this.#uplink, { type: 'heard' }, { nowMs: this.#now(), dice: 0 }).next
    this.#take(frame.value, session)
  }

  #greet(frame: Frame, session: Session): void {
    const { address, login, sodium } = this.#options
    if (frame.type === 'goodbye') return this.#leave(frame)
    if (frame.type === 'challenge' && session.generation === null) {
      const identify = this.#options.identify ?? keyOfRelay(address.relay)
      const key = identify(frame, session.socket.certificateHash?.() ?? null)
      if (!key.ok) return this.#hangUp(key.error)
      session.far = { id: frame.relay, key: key.value }
      // A copy: the frame's memory is the socket's.
      session.generation = Uint8Array.from(frame.generation)
      return session.socket.send([encodeFrame(answerChallenge(frame, login, session.nonce, sodium))])
    }
    const { generation, far, nonce: nodeNonce } = session
    if (frame.type !== 'welcome' || generation === null || far === null) return this.#hangUp('FRAME_UNEXPECTED')
    const signed = { relay: far.id, loginKey: login.keys.publicKey, nodeNonce, generation }
    if (!isGenuine(frame, signed, sodium, far.key)) return this.#hangUp('RELAY_WRONG_KEY')
    const newGeneration = isNewGeneration(this.#options.generations.read(), generation, frame.counter)
    this.#options.generations.write({ generation: toHex(generation), counter: frame.counter })
    this.#feed({ type: 'welcomed' })
    this.#options.log.info({ newGeneration }, 'relay link is live')
    this.#options.onEvent({ type: 'live', newGeneration })
    this.openMailboxes()
    this.#flushSoon()
  }

  #take(frame: Frame, session: Session): void {
    switch (frame.type) {
      case 'deliver':
        for (const { sequence, packet } of frame.packets) {
          const done = session.acknowledgements.delivered(sequence)
          const acknowledge = (): void => {
            done()
            if (this.#session === session) this.#flushSoon()
          }
          this.#options.onEvent({ type: 'deliver', packet, acknowledge })
        }
        return
      case 'answer':
        for (const answer of frame.answers) this.#options.onEvent({ type: 'answer', ...answer })
        return
      case 'done':
        return this.#settle(frame)
      case 'slot':
      case 'vaultLacks':
      case 'vaults':
      case 'vaultChunk':
        return this.#requests.get(frame.request)?.answer(frame)
      case 'drained':
        return this.#options.onEvent({ type: 'drained' })
      case 'lost':
        session.owesAck = true
        this.#flushSoon()
        return this.#options.onEvent({ type: 'lost', count: frame.count })
      case 'notice':
        return this.#heed(frame)
      case 'goodbye':
        return this.#leave(frame)
      case 'pong':
        // Before its pong a relay that keeps us idle says so again: one that does not has changed its mind, or lied.
        if (this.#idled && !session.idledAgain) this.#activate()
        session.idledAgain = false
        if (frame.number > 0) this.#requests.get(frame.number)?.answer(null)
        return
      case 'challenge':
      case 'welcome':
      case 'login':
      case 'send':
      case 'ack':
      case 'open':
      case 'enrol':
      case 'revoke':
      case 'readSlot':
      case 'setSlot':
      case 'vaultNames':
      case 'vaultPut':
      case 'vaultKeep':
      case 'vaultList':
      case 'vaultGet':
      case 'ping':
        return this.#hangUp('FRAME_UNEXPECTED')
    }
  }

  #heed(notice: FrameOf<'notice'>): void {
    if (notice.reason === null) return this.#activate()
    if (notice.reason === 'DUPLICATE_LOGIN') {
      if (this.#session !== null) this.#session.idledAgain = this.#idled
      if (!this.#idled) this.#feed({ type: 'idled' })
      this.#idled = true
    }
    this.#options.onEvent({ type: 'notice', reason: notice.reason, retryAfterMs: notice.retryAfterMs })
  }

  #activate(): void {
    if (!this.#idled) return
    this.#idled = false
    this.#options.onEvent({ type: 'live', newGeneration: false })
    // It may have been idled by a frame that somebody made up, or be so at the relay no more by one that was lost.
    this.openMailboxes()
  }

  #leave(goodbye: FrameOf<'goodbye'>): void {
    this.#session?.socket.destroy()
    this.#feed({ type: 'failed', reason: goodbye.reason, retryAfterMs: goodbye.retryAfterMs })
  }

  #hangUp(reason: FailureCode): void {
    this.#session?.socket.destroy()
    this.#feed({ type: 'failed', reason, retryAfterMs: 0 })
  }

  #endSession(reason: FailureCode): void {
    this.#session = null
    this.#idled = false
    this.#full = false
    this.#outgoing.take()
    this.#outgoingBytes = 0
    if (this.#flushing !== null) clearImmediate(this.#flushing)
    this.#flushing = null
    const requests = this.#requests
    this.#requests = new Map()
    for (const { reject } of requests.values())
      reject(new Failure(reason, 'The connection to the relay ended before it answered.'))
  }

  #request<T>(frameOf: (request: number) => Frame, judge: (frame: Answering | null) => T): Promise<T> {
    const session = this.#session
    if (session === null || this.#uplink.state !== 'live')
      return Promise.reject(new Failure('RELAY_UNREACHABLE', 'The relay is not connected now.'))
    const request = this.#nextRequest++
    return new Promise((resolve, reject) => {
      const answer = (frame: Answering | null): void => {
        this.#requests.delete(request)
        try {
          resolve(judge(frame))
        } catch (error) {
          reject(error)
        }
      }
      this.#requests.set(request, { answer, reject })
      session.socket.send([encodeFrame(frameOf(request))])
    })
  }

  #settle(done: FrameOf<'done'>): void {
    const waiting = this.#requests.get(done.request)
    if (done.reason === null) return waiting?.answer(null)
    this.#requests.delete(done.request)
    waiting?.reject(new Failure(done.reason, `The relay refused: ${REFUSALS[done.reason] ?? done.reason}.`))
  }

  #flushSoon(): void {
    // After the poll phase: everything that this turn's events have to say leaves in one write.
    this.#flushing ??= setImmediate(() => this.#flush())
  }

  #flush(): void {
    if (this.#flushing !== null) clearImmediate(this.#flushing)
    this.#flushing = null
    const session = this.#session
    if (session === null || this.#uplink.state !== 'live') return
    const frames: Uint8Array[] = []
    const { safe } = session.acknowledgements
    if (safe > session.acknowledged || session.owesAck) {
      session.acknowledged = safe
      session.owesAck = false
      frames.push(encodeFrame({ type: 'ack', sequence: safe }))
    }
    for (const packets of this.#outgoing.take()) frames.push(encodeFrame({ type: 'send', packets }))
    this.#outgoingBytes = 0
    if (frames.length > 0) session.socket.send(frames)
    this.#offerRoom()
  }

  #offerRoom(): void {
    if (!this.#full || (this.#session?.socket.queuedBytes ?? 0) > CONNECTION_QUEUE_BYTES_MAX / 2) return
    this.#full = false
    this.#options.onEvent({ type: 'room' })
  }
}

const whenDone = (): void => {}

const REFUSALS: Partial<Record<Reason, string>> = {
  NOT_ADMIN: 'only an admin of the mesh may do this',
  TOKEN_INVALID: 'the tokens do not chain to this mesh',
  TOKEN_EXPIRED: 'a token has expired',
  NODE_REVOKED: 'this login key was removed',
  QUOTA_NODES: 'the mesh has as many nodes and invites as the relay allows',
  DISK_FULL: 'its disk is full',
  QUOTA_VAULT: 'the snapshots of this node, or of its mesh, take all that it keeps for them',
  VAULT_INCOMPLETE: 'it has not every piece of this snapshot',
  QUOTA_SLOTS: 'the mesh has as many slots, or asks as much at once, as the relay allows',
}

import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import type { MailboxId, NodeId, PacketId, RelayId } from '@sealmesh/protocol/ids'
import type { LoginPublicKey, Secret } from '@sealmesh/protocol/keys'
import { FRAME_BYTES_MAX, LOGIN_WAIT_MS } from '@sealmesh/protocol/limits'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { acceptMessage, loginMessage } from '@sealmesh/protocol/wire/challenge'
import { DELIVERED, type Frame, type FrameOf, type Outcome } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import { IN_HAND_BYTES_MAX, SILENCE_MS_MAX, UNACKED_BYTES_MAX } from './direct-limits.ts'

/** What the driver does, in order. After `end` nothing follows. */
export type SessionEffect =
  | { readonly type: 'frame'; readonly frame: Frame }
  /** It has proved which member it is. */
  | { readonly type: 'live'; readonly peer: NodeId }
  /** For this node: call `taken` with the id when its fate is durable. */
  | { readonly type: 'take'; readonly id: PacketId; readonly packet: Uint8Array }
  /** The peer has these on its disk, or for good decided against them. */
  | { readonly type: 'delivered'; readonly ids: readonly PacketId[] }
  /** After a `full`. */
  | { readonly type: 'room' }
  /** Read nothing more, or again. */
  | { readonly type: 'pause' | 'resume' }
  | { readonly type: 'end'; readonly reason: Reason }

export interface SessionWorld {
  /** What stands in the challenge in the place of a relay's id, and what binds it to this TLS session. */
  readonly id: RelayId
  readonly nonce: Uint8Array
  readonly generation: Uint8Array
  readonly secret: Secret<'login'>
  readonly sodium: Sodium
  /** The member with this login key: by this node's own log, at this moment. */
  readonly member: (loginKey: LoginPublicKey) => NodeId | 'removed' | undefined
  readonly isOwnMailbox: (mailbox: MailboxId) => boolean
}

interface InFlight {
  readonly sequence: number
  readonly id: PacketId
  readonly bytes: number
}

/** The first of its generation, as there is one certificate to a start: no counter survives, and none has to. */
const COUNTER = 1

/**
 * The listening side of a direct link: the words of a relay's session (docs/spec/18-direct-links.md §3), spoken by a node for
 * itself alone. It stores nothing and hands nothing on. Decides; its driver owns socket and clock.
 */
export class PeerSession {
  readonly #world: SessionWorld
  readonly #beganMs: number
  #state: 'greeting' | 'live' | 'over' = 'greeting'
  #heardMs: number
  #peer: NodeId | undefined
  readonly #inHand = new Map<PacketId, { readonly bytes: number; readonly recipients: number }>()
  #inHandBytes = 0
  #paused = false
  readonly #inFlight: InFlight[] = []
  #unackedBytes = 0
  #sequence = 0
  #full = false

  constructor(world: SessionWorld, nowMs: number) {
    this.#world = world
    this.#beganMs = nowMs
    this.#heardMs = nowMs
  }

  get peer(): NodeId | undefined {
    return this.#state === 'live' ? this.#peer : undefined
  }

  get isGreeting(): boolean {
    return this.#state === 'greeting'
  }

  challenge(): FrameOf<'challenge'> {
    const { id, nonce, generation } = this.#world
    return { type: 'challenge', relay: id, nonce, generation }
  }

  hear(frame: Frame, nowMs: number): SessionEffect[] {
    this.#heardMs = nowMs
    if (this.#state === 'over') return []
    if (this.#state === 'greeting') return frame.type === 'login' ? this.#login(frame) : this.end('FRAME_UNEXPECTED')
    switch (frame.type) {
      case 'send':
        return this.#take(frame.packets)
      case 'ack':
        return this.#acknowledge(frame.sequence)
      case 'ping':
        return [{ type: 'frame', frame: { type: 'pong', number: frame.number } }]
      default:
        return this.end('FRAME_UNEXPECTED')
    }
  }

  /** A sign of life that is no frame. */
  alive(nowMs: number): void {
    this.#heardMs = nowMs
  }

  tick(nowMs: number): SessionEffect[] {
    if (this.#state === 'greeting' && nowMs - this.#beganMs >= LOGIN_WAIT_MS) return this.end('HELLO_TIMEOUT')
    // While nothing is read of it, its silence is ours.
    if (this.#state === 'live' && !this.#paused && nowMs - this.#heardMs >= SILENCE_MS_MAX)
      return this.end('RELAY_CLOSED')
    return []
  }

  send(id: PacketId, packet: Uint8Array): { readonly sent: 'sent' | 'full' | 'down'; effects: SessionEffect[] } {
    if (this.#state !== 'live') return { sent: 'down', effects: [] }
    if (this.#unackedBytes + packet.length > UNACKED_BYTES_MAX) {
      this.#full = true
      return { sent: 'full', effects: [] }
    }
    this.#sequence += 1
    this.#inFlight.push({ sequence: this.#sequence, id, bytes: packet.length })
    this.#unackedBytes += packet.length
    const packets = [{ sequence: this.#sequence, packet }]
    return { sent: 'sent', effects: [{ type: 'frame', frame: { type: 'deliver', packets } }] }
  }

  /** What was taken is durable here, or will never be used. */
  taken(id: PacketId): SessionEffect[] {
    const known = this.#inHand.get(id)
    if (this.#state !== 'live' || known === undefined) return []
    this.#inHand.delete(id)
    this.#inHandBytes -= known.bytes
    const outcomes: Outcome[] = Array.from({ length: known.recipients }, () => DELIVERED)
    const effects: SessionEffect[] = [{ type: 'frame', frame: { type: 'answer', answers: [{ packet: id, outcomes }] } }]
    if (this.#paused && this.#inHandBytes <= IN_HAND_BYTES_MAX / 2) {
      this.#paused = false
      effects.push({ type: 'resume' })
    }
    return effects
  }

  end(reason: Reason): SessionEffect[] {
    if (this.#state === 'over') return []
    this.#state = 'over'
    return [
      { type: 'frame', frame: { type: 'goodbye', reason, retryAfterMs: 0 } },
      { type: 'end', reason },
    ]
  }

  #login(frame: FrameOf<'login'>): SessionEffect[] {
    const { id, nonce, generation, sodium, secret, member } = this.#world
    const { loginKey, nonce: nodeNonce, chain, signature } = frame
    const message = loginMessage({ relay: id, relayNonce: nonce, generation, nodeNonce, chain })
    if (!sodium.verify(signature, message, loginKey)) return this.end('LOGIN_SIGNATURE')
    const peer = member(loginKey)
    if (peer === undefined) return this.end('TOKEN_INVALID')
    if (peer === 'removed') return this.end('NODE_REVOKED')
    this.#state = 'live'
    this.#peer = peer
    const accept = acceptMessage({ relay: id, nodeNonce, loginKey, generation, counter: COUNTER })
    const welcome = { counter: COUNTER, frameBytesMax: FRAME_BYTES_MAX, signature: sodium.sign(accept, secret) }
    return [
      { type: 'frame', frame: { type: 'welcome', ...welcome } },
      { type: 'live', peer },
    ]
  }

  #take(packets: readonly Uint8Array[]): SessionEffect[] {
    const effects: SessionEffect[] = []
    for (const packet of packets) {
      const header = readPacketHeader(packet)
      if (!header.ok) return [...effects, ...this.end('FRAME_MALFORMED')]
      const { id, recipients } = header.value
      if (!recipients.every(({ mailbox }) => this.#world.isOwnMailbox(mailbox))) {
        const refused: Outcome = { outcome: 'refused', reason: 'RECIPIENT_FORBIDDEN' }
        const outcomes = recipients.map(() => refused)
        effects.push({ type: 'frame', frame: { type: 'answer', answers: [{ packet: id, outcomes }] } })
        continue
      }
      // A second copy of what is in hand: the answer to the first is its own.
      if (this.#inHand.has(id)) continue
      this.#inHand.set(id, { bytes: packet.length, recipients: recipients.length })
      this.#inHandBytes += packet.length
      effects.push({ type: 'take', id, packet })
    }
    if (!this.#paused && this.#inHandBytes > IN_HAND_BYTES_MAX) {
      this.#paused = true
      effects.push({ type: 'pause' })
    }
    return effects
  }

  #acknowledge(sequence: number): SessionEffect[] {
    if (sequence > this.#sequence) return this.end('FRAME_UNEXPECTED')
    const ids: PacketId[] = []
    while ((this.#inFlight[0]?.sequence ?? Number.POSITIVE_INFINITY) <= sequence) {
      const { id, bytes } = this.#inFlight.shift()!
      this.#unackedBytes -= bytes
      ids.push(id)
    }
    const effects: SessionEffect[] = ids.length > 0 ? [{ type: 'delivered', ids }] : []
    if (this.#full && this.#unackedBytes <= UNACKED_BYTES_MAX / 2) {
      this.#full = false
      effects.push({ type: 'room' })
    }
    return effects
  }
}

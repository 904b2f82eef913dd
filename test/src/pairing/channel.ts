import { toHex } from '@sealmesh/protocol/bytes'
import { type Admission, encodeAdmission } from '@sealmesh/protocol/pairing/admission'
import {
  firstInviter,
  type Invite,
  type Inviter,
  type InviterEvent,
  stepInviter,
} from '@sealmesh/protocol/pairing/inviter'
import {
  type JoinAttempt,
  type Joining,
  type JoinerEvent,
  type JoinerStep,
  startJoiner,
  stepJoiner,
} from '@sealmesh/protocol/pairing/joiner'
import type { JoinerKeys } from '@sealmesh/protocol/pairing/canary'
import type { PairingLink } from '@sealmesh/protocol/pairing/link'
import { decodeMessage, encodeMessage, type Joiner, type PairingMessage } from '@sealmesh/protocol/pairing/message'
import type { WordNumbers } from '@sealmesh/protocol/pairing/words'
import { type Machine, type PairingScene, START_MS } from './pairing-scene.ts'

/** What the channel does to each message; all numbers are chances or milliseconds. */
export interface Weather {
  readonly loss: number
  readonly duplicate: number
  readonly delayMs: number
}

export const CALM: Weather = { loss: 0, duplicate: 0, delayMs: 5 }

interface Letter {
  readonly atMs: number
  readonly order: number
  readonly to: 'inviter' | JoinerEnd
  readonly message: PairingMessage
}

export interface JoinerEnd {
  readonly attempt: JoinAttempt
  now: Joining
  words: WordNumbers | null
}

/** One inviter and any number of joiners on virtual time: every step and every throw of the dice from one seed. */
export class Channel {
  nowMs = START_MS
  readonly invite: Invite
  inviter: Inviter = firstInviter
  readonly joiners: JoinerEnd[] = []
  readonly admitted: Joiner[] = []
  sent = 0
  /** Null: the machine's own admission fails. */
  admission: (joiner: Joiner) => Admission | null
  readonly #scene: PairingScene
  readonly #weather: Weather
  #letters: Letter[] = []

  constructor(scene: PairingScene, options: { weather?: Weather; link?: PairingLink; autoConfirm?: boolean } = {}) {
    this.#scene = scene
    this.#weather = options.weather ?? CALM
    this.invite = {
      link: options.link ?? scene.link(),
      nonce: scene.random(32),
      canary: { value: scene.random(32), seed: scene.random(32) },
      autoConfirm: options.autoConfirm ?? false,
    }
    this.admission = ({ identity }) => scene.admission(identity)
  }

  /** `wrong`: private halves that this machine has in place of those of its keys. */
  join(machine: Machine, link: PairingLink = this.invite.link, wrong: Partial<JoinerKeys> = {}): JoinerEnd {
    const { random } = this.#scene
    const attempt: JoinAttempt = {
      link,
      joiner: { identity: machine.identity, prekey: machine.keys.prekey.publicKey },
      keys: { ...machine.keys, ...wrong },
      session: toHex(random(16)),
      nonce: random(32),
    }
    const first = startJoiner(attempt, this.#world())
    const end: JoinerEnd = { attempt, now: first.next, words: null }
    this.joiners.push(end)
    this.#runJoiner(end, first)
    return end
  }

  /** Goes on until `until` holds, or `forMs` has passed. */
  run(until: () => boolean, forMs = 20 * 60_000): boolean {
    const endMs = this.nowMs + forMs
    let tickMs = this.nowMs
    while (!until()) {
      if (this.nowMs >= endMs) return false
      this.#letters.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
      const [next] = this.#letters
      if (next !== undefined && next.atMs <= tickMs + 250) {
        this.#letters.shift()
        this.nowMs = Math.max(this.nowMs, next.atMs)
        this.#deliver(next)
      } else {
        tickMs += 250
        this.nowMs = tickMs
        this.feedInviter({ type: 'tick' })
        for (const end of this.joiners) this.feedJoiner(end, { type: 'tick' })
      }
    }
    return true
  }

  feedInviter(event: InviterEvent): void {
    const { next, effects } = stepInviter(this.inviter, event, this.invite, this.#world())
    this.inviter = next
    for (const effect of effects) {
      switch (effect.type) {
        case 'send':
          for (const end of this.joiners) this.post(end, effect.message)
          break
        case 'admit': {
          this.admitted.push(effect.joiner)
          const admission = this.admission(effect.joiner)
          this.feedInviter(
            admission === null ? { type: 'admit-failed' } : { type: 'admitted', chunks: encodeAdmission(admission) },
          )
          break
        }
      }
    }
  }

  feedJoiner(end: JoinerEnd, event: JoinerEvent): void {
    this.#runJoiner(end, stepJoiner(end.now, event, end.attempt, this.#world()))
  }

  /** Through the bytes, so that nothing is shared and nothing passes that could not be said. */
  post(to: Letter['to'], message: PairingMessage): void {
    const bytes = encodeMessage(message)
    const copies = this.#chance(this.#weather.duplicate) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (this.#chance(this.#weather.loss)) continue
      const decoded = decodeMessage(bytes.slice())
      if (!decoded.ok) throw new Error('A message that we wrote is not one that we read')
      const atMs = this.nowMs + 1 + this.#dice() * this.#weather.delayMs
      this.#letters.push({ atMs, order: this.sent++, to, message: decoded.value })
    }
  }

  #deliver({ to, message }: Letter): void {
    if (to === 'inviter') this.feedInviter({ type: 'message', message })
    else this.feedJoiner(to, { type: 'message', message })
  }

  #runJoiner(end: JoinerEnd, { next, effects }: JoinerStep): void {
    end.now = next
    for (const effect of effects) {
      switch (effect.type) {
        case 'send':
          this.post('inviter', effect.message)
          break
        case 'show-words':
          if (end.words !== null) throw new Error('The words were shown twice')
          end.words = effect.words
          break
      }
    }
  }

  #world = () => ({ nowMs: this.nowMs, sodium: this.#scene.sodium })

  #chance = (of: number): boolean => this.#dice() < of

  #dice(): number {
    const [a, b, c] = this.#scene.random(3)
    return ((a ?? 0) * 65_536 + (b ?? 0) * 256 + (c ?? 0)) / 2 ** 24
  }
}

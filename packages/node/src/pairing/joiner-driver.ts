import { toHex } from '@sealmesh/protocol/bytes'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import type { MailboxId, MeshId, NodeId, PacketId } from '@sealmesh/protocol/ids'
import type { NodeIdentity } from '@sealmesh/protocol/membership/record'
import type { JoinerKeys } from '@sealmesh/protocol/pairing/canary'
import {
  type JoinAttempt,
  type JoinerEvent,
  type JoinerStep,
  type Joining,
  startJoiner,
  stepJoiner,
} from '@sealmesh/protocol/pairing/joiner'
import { parseLink } from '@sealmesh/protocol/pairing/link'
import { type LinkKeys, linkKeys } from '@sealmesh/protocol/pairing/link-keys'
import { PAIRING_NONCE_BYTES, type PairingMessage, SESSION_BYTES } from '@sealmesh/protocol/pairing/message'
import { openPairingPacket, sealPairingPacket } from '@sealmesh/protocol/pairing/pairing-packet'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { type LinkEvent, openRelayLink, type RelayLink } from '../uplink/relay-link.ts'
import { linkMessage, refusalMessage } from './failure-message.ts'
import { relayFailure } from './relay-failure.ts'
import { wordsFrom } from './word-list.ts'

export interface JoinOptions {
  readonly link: string
  readonly identity: NodeIdentity
  /** Those that the identity names, and a prekey for this pairing. */
  readonly keys: JoinerKeys
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly log: { info(fields: object, message: string): void }
  readonly now: () => number
  /** The other machine must show the same; the person there confirms. */
  readonly onWords: (words: string[]) => void
  readonly signal?: AbortSignal
  /** For tests; the real one otherwise. */
  readonly open?: typeof openRelayLink
}

export interface Joined {
  readonly mesh: MeshId
  /** In causal order, checked against the link's root, with the record that admits this node. */
  readonly records: Uint8Array[]
  readonly token: Uint8Array
  readonly relays: string[]
  readonly inviter: NodeId
}

const TICK_MS = 250
/** A relay that does not let us in for so long is not the one, or not up. */
const RELAY_WAIT_MS = 20_000
/** For the last packet to reach the relay: the other machine reports success only when it has it. */
const LAST_WORD_MS = 5_000
/** Beyond the link's expiry, since packets are answered after it too. */
const PACKET_LIFE_MS = 5 * 60_000

/** Brings this machine into a mesh by a link, or rejects with a `Failure` whose code says why not. */
export async function joinByLink(options: JoinOptions): Promise<Joined> {
  const { sodium, random, now } = options
  const parsed = parseLink(options.link, sodium)
  if (!parsed.ok) throw new Failure('LINK_INVALID', linkMessage(parsed.error.why))
  const link = parsed.value
  const attempt: JoinAttempt = {
    link,
    joiner: { identity: options.identity, prekey: options.keys.prekey.publicKey },
    keys: options.keys,
    session: toHex(random(SESSION_BYTES)),
    nonce: random(PAIRING_NONCE_BYTES),
  }
  const first = startJoiner(attempt, { nowMs: now(), sodium })
  if (first.next.state === 'failed') throw new Failure(first.next.reason, refusalMessage(first.next.reason, 'joiner'))
  const run = new Join(options, attempt, linkKeys(link, sodium), first)
  try {
    return await run.outcome
  } finally {
    await run.close()
    link.secret.erase()
  }
}

class Join {
  readonly outcome: Promise<Joined>
  readonly #options: JoinOptions
  readonly #attempt: JoinAttempt
  readonly #keys: LinkKeys
  readonly #mailbox: MailboxId
  readonly #relay: RelayLink
  readonly #timer: NodeJS.Timeout
  readonly #openedAtMs: number
  #resolve: (joined: Joined) => void = () => undefined
  #reject: (failure: Failure) => void = () => undefined
  #now: Joining
  /** What the core said when it began, for as long as there is no relay to say it to. */
  #firstWords: JoinerStep['effects']
  #wasLive = false
  #closed = false
  #lastWord: PacketId | null = null
  #lastWordByMs = 0

  constructor(options: JoinOptions, attempt: JoinAttempt, keys: LinkKeys, first: JoinerStep) {
    this.#options = options
    this.#attempt = attempt
    this.#keys = keys
    this.#mailbox = mailboxOf(keys.login.publicKey, options.sodium)
    this.#now = first.next
    this.#firstWords = first.effects
    this.#openedAtMs = options.now()
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const { relayAddress: address, rootFingerprint: mesh } = attempt.link
    this.#relay = (options.open ?? openRelayLink)({
      address,
      // The inviter enrolled this key: there is no token to show.
      login: { mesh, keys: keys.login, token: new Uint8Array() },
      // Known to the inviter and the relay, and to nobody else.
      mailboxes: () => [keys.login.publicKey],
      sodium: options.sodium,
      log: options.log,
      // This link lives for one pairing: nothing to compare a generation with.
      generations: { read: () => undefined, write: () => undefined },
      onEvent: (event) => this.#onLink(event),
    })
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    options.signal?.addEventListener('abort', this.#abort, { once: true })
    if (options.signal?.aborted === true) this.#abort()
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    this.#options.signal?.removeEventListener('abort', this.#abort)
    await this.#relay.close()
    this.#keys.login.secretKey.erase()
    this.#keys.packet['to-inviter'].erase()
    this.#keys.packet['to-joiner'].erase()
  }

  readonly #abort = (): void => this.#feed({ type: 'cancelled' })

  #onLink(event: LinkEvent): void {
    // The keys are erased, and a relay could use keys of zeros too.
    if (this.#closed) return
    switch (event.type) {
      case 'live':
        this.#wasLive = true
        // After a later connection the core's own repeating is soon enough.
        this.#run(this.#firstWords)
        this.#firstWords = []
        return
      case 'deliver': {
        const at = { mailbox: this.#mailbox, key: this.#keys.packet['to-joiner'] }
        const message = openPairingPacket(event.packet, at, this.#options.sodium)
        event.acknowledge()
        if (message !== undefined) this.#feed({ type: 'message', message })
        return
      }
      case 'answer':
        if (event.packet === this.#lastWord) this.#finish()
        return
      case 'notice':
      case 'down':
        return this.#look(event.reason)
      case 'drained':
      case 'lost':
      case 'room':
        return
    }
  }

  /** A refusal by the relay that nothing but another link will change. */
  #look(reason: FailureCode | null): void {
    const { status } = this.#relay
    if (status.state === 'refused') return this.#fail(relayFailure(status.reason ?? reason))
    const waitedMs = this.#options.now() - this.#openedAtMs
    if (!this.#wasLive && waitedMs >= RELAY_WAIT_MS) this.#fail(relayFailure(status.reason ?? reason))
  }

  #tick(): void {
    this.#look(null)
    if (this.#now.state === 'joined' && this.#options.now() >= this.#lastWordByMs) this.#finish()
    if (this.#relay.status.state === 'live') this.#feed({ type: 'tick' })
  }

  #feed(event: JoinerEvent): void {
    const { sodium, now } = this.#options
    const before = this.#now.state
    const { next, effects } = stepJoiner(this.#now, event, this.#attempt, { nowMs: now(), sodium })
    this.#now = next
    this.#run(effects)
    if (next.state === before) return
    this.#options.log.info({ state: next.state }, 'pairing')
    if (next.state === 'failed') this.#fail(new Failure(next.reason, refusalMessage(next.reason, 'joiner')))
    if (next.state === 'joined') this.#lastWordByMs = now() + LAST_WORD_MS
  }

  #run(effects: JoinerStep['effects']): void {
    for (const effect of effects) {
      switch (effect.type) {
        case 'send':
          this.#send(effect.message)
          break
        case 'show-words':
          this.#options.onWords(wordsFrom(effect.words))
          break
      }
    }
  }

  #send(message: PairingMessage): void {
    const { sodium, random } = this.#options
    const { inviterMailbox: mailbox, expiresMs } = this.#attempt.link
    const to = { mailbox, key: this.#keys.packet['to-inviter'], expiresMs: expiresMs + PACKET_LIFE_MS }
    const packet = sealPairingPacket(message, to, random, sodium)
    if (message.type === 'done') {
      const header = readPacketHeader(packet)
      if (header.ok) this.#lastWord = header.value.id
    }
    this.#relay.send(packet)
  }

  #finish(): void {
    if (this.#now.state !== 'joined') return
    const { admission, inviter } = this.#now
    this.#resolve({
      mesh: this.#attempt.link.rootFingerprint,
      records: [...admission.records],
      token: admission.token,
      relays: [...admission.relays],
      inviter,
    })
  }

  #fail(failure: Failure): void {
    // Joined is joined, whatever the relay says afterwards.
    if (this.#now.state === 'joined') return this.#finish()
    this.#reject(failure)
  }
}

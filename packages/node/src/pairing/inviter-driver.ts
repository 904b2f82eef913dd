import { Failure } from '@sealmesh/protocol/errors'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { MailboxId, MeshId, RelayId } from '@sealmesh/protocol/ids'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { HASH_BYTES, SEED_BYTES } from '@sealmesh/protocol/keys'
import { PAIRING_LINK_MS } from '@sealmesh/protocol/limits'
import type { NodeIdentity } from '@sealmesh/protocol/membership/record'
import { type Admission, encodeAdmission } from '@sealmesh/protocol/pairing/admission'
import {
  firstInviter,
  type Invite,
  type Inviter,
  type InviterEvent,
  meetingOf,
  SENDING_WAIT_MS,
  stepInviter,
} from '@sealmesh/protocol/pairing/inviter'
import { encodeLink, newLinkSecret } from '@sealmesh/protocol/pairing/link'
import { type LinkKeys, linkKeys } from '@sealmesh/protocol/pairing/link-keys'
import { CANARY_BYTES, type Joiner, PAIRING_NONCE_BYTES, type PairingMessage } from '@sealmesh/protocol/pairing/message'
import { openPairingPacket, sealPairingPacket } from '@sealmesh/protocol/pairing/pairing-packet'
import type { Ristretto } from '@sealmesh/protocol/ristretto'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { RelayAddress } from '@sealmesh/protocol/wire/address'
import type { TokenDraft } from '@sealmesh/protocol/wire/token'
import { CodeHost } from './code-host.ts'
import { refusalMessage } from './failure-message.ts'
import { numbersFrom, wordsFrom } from './word-list.ts'

export interface InviterDeps {
  readonly mesh: MeshId
  /** Where the joiner writes to, as long as it may: none of those in which members write. The result ends it. */
  readonly openMailbox: (secret: Uint8Array) => () => void
  /** The relay that we are connected to; undefined when the mesh has none. */
  readonly relayAddress: () => RelayAddress | undefined
  readonly sodium: Sodium
  /** Loaded by who wants a code. */
  readonly ristretto: () => Promise<Ristretto>
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  readonly log: { info(fields: object, message: string): void; error(fields: object, message: string): void }
  /** Signs this token onto our chain and enrols it at the relay. Rejects with a `Failure`. */
  readonly enrol: (token: TokenDraft) => Promise<void>
  /** One try: what is lost is asked for again. */
  readonly sendPacket: (packet: Uint8Array) => unknown
  /** Signs and stores the record that admits this node, and collects what it needs. Once for each invite. */
  readonly admit: (identity: NodeIdentity) => Promise<Admission>
}

export type PairingView = MethodResult<'pair.status'>

/** Time that the relay lets a joiner in beyond the link's own, to fetch what was confirmed at the last moment. */
const FETCH_MS = 2 * SENDING_WAIT_MS
const TICK_MS = 1_000
/** Links that are over are answered for until they expire; the oldest make room. */
const PAST_MAX = 8

interface ActiveInvite {
  readonly closeMailbox: () => void
  readonly invite: Invite
  readonly keys: LinkKeys
  readonly joinerMailbox: MailboxId
  readonly text: string
  readonly forgetAtMs: number
  /** What fetches the link, when it was asked for. */
  code: CodeHost | null
  now: Inviter
  /** Its keys are erased: all zeros, so nothing may be sealed or opened with them. */
  forgotten: boolean
  /** Why the admission failed, when that was it. */
  failure: Failure | null
}

/** Runs the inviter's core over the node's own relay link. One invite at a time; a new one ends the one before. */
export class InviterDriver {
  readonly #deps: InviterDeps
  #current: ActiveInvite | null = null
  /** Over or replaced, but still answered: whoever comes with an old link is told what became of it. */
  #past: ActiveInvite[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(deps: InviterDeps) {
    this.#deps = deps
  }

  /** The view holds the link. Rejects when the relay does not enrol the invite. */
  async start(options: { autoConfirm: boolean; code?: boolean }): Promise<PairingView> {
    const { sodium, random, now, mesh, openMailbox } = this.#deps
    const relayAddress = this.#deps.relayAddress()
    if (relayAddress === undefined)
      throw new Failure('RELAY_UNREACHABLE', 'This mesh has no relay yet, and a link leads through one.', {
        next: 'sealmesh up --relay ADDRESS --claim CODE',
      })
    const expiresMs = now() + PAIRING_LINK_MS
    const mailboxSecret = random(HASH_BYTES)
    const mailbox = mailboxOf(mailboxSecret, sodium)
    const link = {
      relayAddress,
      rootFingerprint: mesh,
      secret: newLinkSecret(random),
      inviterMailbox: mailbox,
      expiresMs,
    }
    const keys = linkKeys(link, sodium)
    const forgetAtMs = expiresMs + FETCH_MS
    await this.#deps.enrol({
      mesh,
      loginKey: keys.login.publicKey,
      adminKey: null,
      kind: 'invite',
      mailbox,
      expiresMs: forgetAtMs,
    })
    this.#retire()
    const current: ActiveInvite = {
      closeMailbox: openMailbox(mailboxSecret),
      invite: {
        link,
        nonce: random(PAIRING_NONCE_BYTES),
        canary: { value: random(CANARY_BYTES), seed: random(SEED_BYTES) },
        autoConfirm: options.autoConfirm,
      },
      keys,
      joinerMailbox: mailboxOf(keys.login.publicKey, sodium),
      text: encodeLink(link, sodium),
      forgetAtMs,
      now: firstInviter,
      forgotten: false,
      code: null,
      failure: null,
    }
    this.#current = current
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref()
    if (options.code === true) current.code = await this.#openCode(current, relayAddress.relay)
    return this.view()
  }

  /** Whether it was a packet of a pairing. Call it with packets that open no other way. */
  onPacket(packet: Uint8Array): boolean {
    for (const each of this.#current === null ? this.#past : [this.#current, ...this.#past]) {
      const at = { mailbox: each.invite.link.inviterMailbox, key: each.keys.packet['to-inviter'] }
      const message = openPairingPacket(packet, at, this.#deps.sodium)
      if (message === undefined) {
        if (each.code?.onPacket(packet) === true) return true
        continue
      }
      this.#feed(each, { type: 'message', message })
      return true
    }
    return false
  }

  /** The words that the person saw on the new machine, or agreed to. Others end the pairing. */
  confirm(words: readonly string[]): PairingView {
    const numbers = numbersFrom(words)
    if (this.#current === null) throw new Failure('PAIRING_REFUSED', 'There is no pairing to confirm.')
    if (numbers === undefined) throw new Failure('USAGE', 'Give the four words that both machines show.')
    this.#feed(this.#current, { type: 'confirmed', words: numbers })
    return this.view()
  }

  /** Takes the link back. What is admitted already stays so: that takes a revocation. */
  cancel(): PairingView {
    this.#retire()
    return this.view()
  }

  view(): PairingView {
    const current = this.#current
    if (current === null)
      return { state: 'none', link: null, code: null, expiresAt: null, joinerName: null, words: [], error: null }
    const { now } = current
    const state = viewState(now)
    return {
      state,
      // It holds the secret: not shown longer than it is of use.
      link: now.state === 'waiting' ? current.text : null,
      code: now.state === 'waiting' ? (current.code?.text ?? null) : null,
      expiresAt: new Date(current.invite.link.expiresMs).toISOString(),
      joinerName: meetingOf(now)?.joiner.identity.name ?? null,
      words: 'words' in now ? wordsFrom(now.words) : [],
      error: errorOf(current),
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#retire()
    for (const each of this.#past) forget(each)
    this.#past = []
  }

  async #openCode(each: ActiveInvite, relay: RelayId): Promise<CodeHost> {
    const ristretto = await this.#deps.ristretto()
    const onWrong = (): void => {
      each.failure = new Failure('CODE_WRONG', refusalMessage('CODE_WRONG', 'inviter'))
      // The link is as good as ever and nobody has it; whoever showed the code should know before showing another.
      this.#feed(each, { type: 'cancelled' })
    }
    const { expiresMs } = each.invite.link
    const mailbox = each.invite.link.inviterMailbox
    return await CodeHost.open({ ...this.#deps, mailbox, ristretto }, { link: each.text, relay, expiresMs, onWrong })
  }

  /** The current invite is over, as far as the person here is concerned. */
  #retire(): void {
    const current = this.#current
    if (current === null) return
    current.code?.cancel()
    this.#feed(current, { type: 'cancelled' })
    this.#current = null
    this.#past.push(current)
    for (const oldest of this.#past.splice(0, Math.max(0, this.#past.length - PAST_MAX))) forget(oldest)
  }

  #tick(): void {
    const nowMs = this.#deps.now()
    if (this.#current !== null) this.#feed(this.#current, { type: 'tick' })
    for (const each of this.#past) this.#feed(each, { type: 'tick' })
    for (const each of this.#past) if (nowMs >= each.forgetAtMs) forget(each)
    this.#past = this.#past.filter((each) => nowMs < each.forgetAtMs)
  }

  #feed(each: ActiveInvite, event: InviterEvent): void {
    // An admission may come back after the driver was closed.
    if (each.forgotten) return
    const before = each.now.state
    const { next, effects } = stepInviter(each.now, event, each.invite, {
      nowMs: this.#deps.now(),
      sodium: this.#deps.sodium,
    })
    each.now = next
    if (next.state !== before) this.#deps.log.info({ state: next.state }, 'pairing')
    for (const effect of effects) {
      switch (effect.type) {
        case 'send':
          this.#send(each, effect.message)
          break
        case 'admit':
          this.#admit(each, effect.joiner)
          break
      }
    }
  }

  #send(each: ActiveInvite, message: PairingMessage): void {
    const { sodium, random, sendPacket } = this.#deps
    const to = { mailbox: each.joinerMailbox, key: each.keys.packet['to-joiner'], expiresMs: each.forgetAtMs }
    sendPacket(sealPairingPacket(message, to, random, sodium))
  }

  #admit(each: ActiveInvite, joiner: Joiner): void {
    this.#deps.admit(joiner.identity).then(
      (admission) => this.#feed(each, { type: 'admitted', chunks: encodeAdmission(admission) }),
      (error: unknown) => {
        this.#deps.log.error({ err: error }, 'the new node was not admitted')
        each.failure =
          error instanceof Failure ? error : new Failure('INTERNAL', 'The new node was not admitted.', { cause: error })
        this.#feed(each, { type: 'admit-failed' })
      },
    )
  }
}

function viewState(now: Inviter): PairingView['state'] {
  switch (now.state) {
    case 'waiting':
    case 'committed':
      return 'waiting'
    case 'confirming':
    case 'proving':
    case 'admitting':
    case 'sending':
      return 'confirm'
    case 'done':
      return 'done'
    case 'failed':
      return now.reason === 'LINK_EXPIRED' ? 'expired' : 'failed'
  }
}

function errorOf({ now, failure }: ActiveInvite): PairingView['error'] {
  if (now.state !== 'failed') return null
  if (failure !== null) return { code: failure.code, message: failure.message }
  return { code: now.reason, message: refusalMessage(now.reason, 'inviter') }
}

function forget(each: ActiveInvite): void {
  const { invite, keys } = each
  each.code?.close()
  each.closeMailbox()
  each.forgotten = true
  invite.link.secret.erase()
  keys.login.secretKey.erase()
  keys.packet['to-inviter'].erase()
  keys.packet['to-joiner'].erase()
}

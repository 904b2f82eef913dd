import { toHex } from '@sealmesh/protocol/bytes'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { MailboxId, MeshId, RelayId } from '@sealmesh/protocol/ids'
import { NONCE_BYTES } from '@sealmesh/protocol/keys'
import { codeKeys } from '@sealmesh/protocol/pairing/code'
import {
  type CodeInviter,
  type CodeInviterEvent,
  type CodeOffer,
  offerOf,
  stepCodeInviter,
} from '@sealmesh/protocol/pairing/code-exchange'
import type { LinkKeys } from '@sealmesh/protocol/pairing/link-keys'
import { type PairingMessage, SESSION_BYTES } from '@sealmesh/protocol/pairing/message'
import { openPairingPacket, sealPairingPacket } from '@sealmesh/protocol/pairing/pairing-packet'
import { type Ristretto, SCALAR_RANDOM_BYTES } from '@sealmesh/protocol/ristretto'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { TokenDraft } from '@sealmesh/protocol/wire/token'
import { codeText, newCode } from './word-list.ts'

export interface CodeHostDeps {
  readonly mesh: MeshId
  readonly mailbox: MailboxId
  readonly sodium: Sodium
  readonly ristretto: Ristretto
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  readonly enrol: (token: TokenDraft) => Promise<void>
  readonly sendPacket: (packet: Uint8Array) => unknown
}

/** Gives a link to the one machine that proves that it knows the code. */
export class CodeHost {
  readonly text: string
  readonly #deps: CodeHostDeps
  readonly #offer: CodeOffer
  readonly #keys: LinkKeys
  readonly #onWrong: () => void
  #now: CodeInviter = { state: 'open' }
  #closed = false

  private constructor(deps: CodeHostDeps, offer: CodeOffer, onWrong: () => void) {
    this.#deps = deps
    this.#offer = offer
    this.#keys = codeKeys(offer.code.number, deps.sodium)
    this.#onWrong = onWrong
    this.text = codeText(offer.code)
  }

  /** The offer waits at the relay for whoever comes with the number. Rejects when the relay does not enrol it. */
  static async open(
    deps: CodeHostDeps,
    given: { readonly link: string; readonly relay: RelayId; readonly expiresMs: number; readonly onWrong: () => void },
  ): Promise<CodeHost> {
    const { random, ristretto, mailbox } = deps
    const { link, relay, expiresMs } = given
    const offer: CodeOffer = {
      code: newCode(random),
      relay,
      inviter: mailbox,
      session: toHex(random(SESSION_BYTES)),
      scalar: ristretto.toScalar(random(SCALAR_RANDOM_BYTES)),
      nonce: random(NONCE_BYTES),
      link,
      expiresMs,
    }
    const host = new CodeHost(deps, offer, given.onWrong)
    const loginKey = host.#keys.login.publicKey
    await deps.enrol({ mesh: deps.mesh, loginKey, adminKey: null, kind: 'invite', mailbox, expiresMs })
    host.#send(offerOf(offer, deps))
    return host
  }

  /** Whether it was a packet of this code's. */
  onPacket(packet: Uint8Array): boolean {
    if (this.#closed) return false
    const at = { mailbox: this.#deps.mailbox, key: this.#keys.packet['to-inviter'] }
    const message = openPairingPacket(packet, at, this.#deps.sodium)
    if (message === undefined) return false
    this.#feed({ type: 'message', message })
    return true
  }

  /** Nothing is given any more; whoever comes is told so until `close`. */
  cancel(): void {
    this.#feed({ type: 'cancelled' })
  }

  close(): void {
    this.#closed = true
    this.#offer.scalar.fill(0)
    this.#keys.login.secretKey.erase()
    this.#keys.packet['to-inviter'].erase()
    this.#keys.packet['to-joiner'].erase()
  }

  #feed(event: CodeInviterEvent): void {
    if (this.#closed) return
    const before = this.#now.state
    const { next, answer } = stepCodeInviter(this.#now, event, this.#offer, {
      ...this.#deps,
      nowMs: this.#deps.now(),
    })
    this.#now = next
    if (answer !== null) this.#send(answer)
    if (next.state === 'spent' && next.reason === 'CODE_WRONG' && before === 'open') this.#onWrong()
  }

  #send(message: PairingMessage): void {
    const { sodium, random, sendPacket } = this.#deps
    const mailbox = mailboxOf(this.#keys.login.publicKey, sodium)
    const to = { mailbox, key: this.#keys.packet['to-joiner'], expiresMs: this.#offer.expiresMs }
    sendPacket(sealPairingPacket(message, to, random, sodium))
  }
}

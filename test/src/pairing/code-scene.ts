import { toHex } from '@sealmesh/protocol/bytes'
import type { MailboxId, RelayId } from '@sealmesh/protocol/ids'
import type { PairingCode } from '@sealmesh/protocol/pairing/code'
import {
  answerOffer,
  type CodeAnswer,
  type CodeInviter,
  type CodeInviterEvent,
  type CodeOffer,
  offerOf,
  stepCodeInviter,
} from '@sealmesh/protocol/pairing/code-exchange'
import { decodeMessage, encodeMessage, type PairingMessage } from '@sealmesh/protocol/pairing/message'
import type { Ristretto } from '@sealmesh/protocol/ristretto'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { seededRandom } from '../envelope/scene.ts'

export const NOW_MS = 1_800_000_000_000
export const LINK = 'sealmesh:what-the-code-fetches'

type Offer = Extract<PairingMessage, { type: 'offer' }>

/** One machine that shows a code, on a clock of the test's. Messages pass through their bytes. */
export class CodeScene {
  readonly random: (bytes: number) => Uint8Array
  readonly offer: CodeOffer
  now: CodeInviter = { state: 'open' }
  nowMs = NOW_MS
  #said: Offer | undefined
  readonly #deps: { readonly sodium: Sodium; readonly ristretto: Ristretto }

  constructor(deps: { readonly sodium: Sodium; readonly ristretto: Ristretto }, seed: string, code: PairingCode) {
    this.#deps = deps
    this.random = seededRandom(seed)
    this.offer = {
      code,
      relay: toHex(this.random(32)) as RelayId,
      inviter: toHex(this.random(32)) as MailboxId,
      session: toHex(this.random(16)),
      scalar: deps.ristretto.toScalar(this.random(64)),
      nonce: this.random(24),
      link: LINK,
      expiresMs: NOW_MS + 600_000,
    }
  }

  said(): Offer {
    if (this.#said !== undefined) return this.#said
    const offer = through(offerOf(this.offer, this.#deps))
    if (offer.type !== 'offer') throw new Error(offer.type)
    this.#said = offer
    return offer
  }

  /** What somebody who takes this for the code answers. */
  guess(code: PairingCode, changes: { relay?: RelayId } = {}): CodeAnswer {
    const { relay = this.offer.relay } = changes
    const scalar = this.#deps.ristretto.toScalar(this.random(64))
    const answer = answerOffer(this.said(), { code, relay, scalar }, this.#deps)
    if (answer === undefined) throw new Error('An honest offer is answered')
    return answer
  }

  feed(event: CodeInviterEvent): PairingMessage | null {
    const { next, answer } = stepCodeInviter(this.now, event, this.offer, { ...this.#deps, nowMs: this.nowMs })
    this.now = next
    return answer === null ? null : through(answer)
  }

  hear(message: PairingMessage): PairingMessage | null {
    return this.feed({ type: 'message', message: through(message) })
  }
}

function through(message: PairingMessage): PairingMessage {
  const read = decodeMessage(encodeMessage(message))
  if (!read.ok) throw new Error('What we write we read')
  return read.value
}

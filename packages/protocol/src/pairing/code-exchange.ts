import { equalBytes } from '../bytes.ts'
import type { MailboxId, RelayId } from '../ids.ts'
import type { Ristretto } from '../ristretto.ts'
import type { Sodium } from '../sodium.ts'
import {
  agreeOnCode,
  type CodeKeys,
  codePoint,
  type CodeRun,
  openLink,
  type PairingCode,
  provesCode,
  sealLink,
} from './code.ts'
import type { PairingMessage, Refusal, Session } from './message.ts'

/**
 * Both sides of fetching a link by a code (docs/spec/05-pairing.md §6).
 *
 * Invariants:
 *   1. The inviter compares one proof with one code, ever: right or wrong, the code is spent.
 *   2. The link goes to whoever proved that it knows the code, sealed under the key of that exchange.
 */
export interface CodeDeps {
  readonly sodium: Sodium
  readonly ristretto: Ristretto
}

/** Fixed for one code. `scalar` and `nonce` are random and its own. */
export interface CodeOffer extends CodeRun {
  readonly scalar: Uint8Array
  readonly nonce: Uint8Array
  /** What the code fetches. */
  readonly link: string
  readonly expiresMs: number
}

export type CodeInviter =
  | { readonly state: 'open' }
  /** The answer that was right; said again when it is repeated. */
  | { readonly state: 'given'; readonly to: Uint8Array; readonly message: PairingMessage }
  | { readonly state: 'spent'; readonly reason: Refusal }

export const offerOf = (offer: CodeOffer, { ristretto }: CodeDeps): PairingMessage => ({
  type: 'offer',
  session: offer.session,
  point: codePoint(offer, offer.scalar, ristretto),
  mailbox: offer.inviter,
})

export type CodeInviterEvent =
  | { readonly type: 'message'; readonly message: PairingMessage }
  | { readonly type: 'tick' }
  | { readonly type: 'cancelled' }

export interface CodeInviterStep {
  readonly next: CodeInviter
  readonly answer: PairingMessage | null
}

export function stepCodeInviter(
  now: CodeInviter,
  event: CodeInviterEvent,
  offer: CodeOffer,
  world: CodeDeps & { readonly nowMs: number },
): CodeInviterStep {
  const stay: CodeInviterStep = { next: now, answer: null }
  if (event.type === 'cancelled')
    return now.state === 'open' ? { next: { state: 'spent', reason: 'PAIRING_REFUSED' }, answer: null } : stay
  const isLate = world.nowMs >= offer.expiresMs && now.state === 'open'
  const current: CodeInviter = isLate ? { state: 'spent', reason: 'LINK_EXPIRED' } : now
  if (event.type !== 'message') return { next: current, answer: null }
  const { message } = event
  if (message.type !== 'answer') return { next: current, answer: null }
  const refuse = (reason: Refusal): PairingMessage => ({ type: 'refuse', session: message.session, reason })
  if (message.session !== offer.session) return { next: current, answer: refuse('LINK_USED') }
  if (current.state === 'spent') return { next: current, answer: refuse(current.reason) }
  if (current.state === 'given') {
    const isSame = equalBytes(message.point, current.to)
    return { next: current, answer: isSame ? current.message : refuse('LINK_USED') }
  }
  const points = { inviter: codePoint(offer, offer.scalar, world.ristretto), joiner: message.point }
  const keys = agreeOnCode(offer, offer.scalar, points, 'inviter', world)
  // Invariant 1.
  if (keys === undefined || !provesCode(keys, message.proof))
    return { next: { state: 'spent', reason: 'CODE_WRONG' }, answer: refuse('CODE_WRONG') }
  const sealed = sealLink(offer.link, keys, offer.nonce, world.sodium)
  const given: PairingMessage = { type: 'link', session: offer.session, sealed }
  return { next: { state: 'given', to: message.point.slice(), message: given }, answer: given }
}

/** Fixed for one try of the joiner's. */
export interface CodeTry {
  readonly code: PairingCode
  readonly relay: RelayId
  readonly scalar: Uint8Array
}

export interface CodeAnswer {
  readonly inviter: MailboxId
  readonly message: PairingMessage
  readonly session: Session
  readonly keys: CodeKeys
}

/** The joiner's one answer to the first offer. Undefined for an offer that nobody honest makes. */
export function answerOffer(
  offer: Extract<PairingMessage, { type: 'offer' }>,
  attempt: CodeTry,
  deps: CodeDeps,
): CodeAnswer | undefined {
  const { session, mailbox: inviter } = offer
  const run: CodeRun = { code: attempt.code, relay: attempt.relay, inviter, session }
  const point = codePoint(run, attempt.scalar, deps.ristretto)
  const points = { inviter: offer.point.slice(), joiner: point }
  const keys = agreeOnCode(run, attempt.scalar, points, 'joiner', deps)
  if (keys === undefined) return undefined
  return { inviter, session, keys, message: { type: 'answer', session, point, proof: keys.proof } }
}

/** The link that the answer has fetched. Undefined for what the other side sealed under no such key. */
export const fetchedLink = (
  message: Extract<PairingMessage, { type: 'link' }>,
  answer: CodeAnswer,
  sodium: Sodium,
): string | undefined =>
  message.session === answer.session ? openLink(message.sealed, answer.keys, sodium) : undefined

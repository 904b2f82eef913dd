import { equalBytes } from '../bytes.ts'
import type { Sodium } from '../sodium.ts'
import type { PairingLink } from './link.ts'
import { provesKeys, sealCanary } from './canary.ts'
import { encodeMessage, type Joiner, type PairingMessage, type Refusal, type Session } from './message.ts'
import { commitTo, type Introduction, opens, wordsFor } from './transcript.ts'
import type { WordNumbers } from './words.ts'

/**
 * The machine that is in the mesh already (docs/spec/05-pairing.md §4). It answers and never asks twice: the joiner
 * repeats what it said until it hears something new, so that lost, doubled and late packets change nothing.
 *
 * Invariants:
 *   1. The first joiner has the link for good; any other session is told LINK_USED.
 *   2. The nonce goes out only after the joiner's has opened its commitment.
 *   3. `admit` is asked for once, and only after the words were confirmed and the joiner has proved its keys.
 *   4. A failed invite stays failed: a link is good for one try.
 */
export type Inviter =
  | { readonly state: 'waiting' }
  /** The commitments are exchanged. */
  | ({ readonly state: 'committed' } & Meeting)
  /** The words are on both screens; the person here decides. */
  | ({ readonly state: 'confirming'; readonly words: WordNumbers } & Meeting)
  /** Confirmed; the joiner has yet to show that it has the keys that it named. */
  | ({
      readonly state: 'proving'
      readonly words: WordNumbers
      readonly giveUpAtMs: number
    } & Meeting)
  /** The record is being signed and stored. */
  | ({ readonly state: 'admitting'; readonly words: WordNumbers } & Meeting)
  | ({
      readonly state: 'sending'
      readonly words: WordNumbers
      readonly chunks: readonly Uint8Array[]
      readonly giveUpAtMs: number
    } & Meeting)
  | ({ readonly state: 'done'; readonly words: WordNumbers } & Meeting)
  /** `LINK_EXPIRED`: nobody came in time. */
  | { readonly state: 'failed'; readonly reason: Refusal; readonly meeting: Meeting | null }

/** The joiner that was first. */
interface Meeting {
  readonly session: Session
  readonly joiner: Joiner
  readonly commitment: Uint8Array
}

/** Fixed for the life of one link. */
export interface Invite {
  readonly link: PairingLink
  /** 32 random bytes of this link's own. */
  readonly nonce: Uint8Array
  /** Random, of this link's own: what the joiner has to open, and the seed of the box that it comes in. */
  readonly canary: { readonly value: Uint8Array; readonly seed: Uint8Array }
  /** Nobody compares the words: whoever has the link is let in. */
  readonly autoConfirm: boolean
}

export type InviterEvent =
  | { readonly type: 'message'; readonly message: PairingMessage }
  /** The person compared the words, and typed or accepted these. */
  | { readonly type: 'confirmed'; readonly words: WordNumbers }
  | { readonly type: 'cancelled' }
  /** What `admit` asked for, in chunks. */
  | { readonly type: 'admitted'; readonly chunks: readonly Uint8Array[] }
  | { readonly type: 'admit-failed' }
  | { readonly type: 'tick' }

export type InviterEffect =
  | { readonly type: 'send'; readonly message: PairingMessage }
  /** Sign and store the record that admits the joiner, then feed `admitted`. */
  | { readonly type: 'admit'; readonly joiner: Joiner }

export interface PairingWorld {
  readonly nowMs: number
  readonly sodium: Sodium
}

export interface InviterStep {
  readonly next: Inviter
  readonly effects: readonly InviterEffect[]
}

/** Chunks that one `want` is answered with: what a joiner may hold beyond what it asked for stays under 400 KB. */
export const WINDOW_CHUNKS = 8
/** Silence of a joiner that was confirmed and has not fetched everything. */
export const SENDING_WAIT_MS = 60_000

export const firstInviter: Inviter = { state: 'waiting' }

export function stepInviter(now: Inviter, event: InviterEvent, invite: Invite, world: PairingWorld): InviterStep {
  const stay: InviterStep = { next: now, effects: [] }
  switch (event.type) {
    case 'message':
      return onMessage(now, event.message, invite, world)
    case 'tick':
      if (now.state === 'sending' || now.state === 'proving')
        return world.nowMs >= now.giveUpAtMs ? fail(now, 'PAIRING_TIMEOUT') : stay
      if (now.state === 'admitting' || world.nowMs < invite.link.expiresMs || isOver(now)) return stay
      return fail(now, 'LINK_EXPIRED')
    case 'confirmed':
      if (now.state !== 'confirming') return stay
      if (!event.words.every((word, at) => word === now.words[at])) return fail(now, 'PAIRING_WORDS_DIFFER')
      return challenge(now, invite, world)
    case 'cancelled':
      // What is admitted is admitted: only a revocation takes it back.
      if (now.state === 'admitting' || now.state === 'sending' || isOver(now)) return stay
      return fail(now, 'PAIRING_REFUSED')
    case 'admitted':
      if (now.state !== 'admitting') return stay
      return sendChunks(
        { ...now, state: 'sending', chunks: event.chunks, giveUpAtMs: world.nowMs + SENDING_WAIT_MS },
        0,
      )
    case 'admit-failed':
      return now.state === 'admitting' ? fail(now, 'PAIRING_REFUSED') : stay
  }
}

function onMessage(now: Inviter, message: PairingMessage, invite: Invite, world: PairingWorld): InviterStep {
  const stay: InviterStep = { next: now, effects: [] }
  const meeting = meetingOf(now)
  if (now.state === 'waiting') {
    if (message.type !== 'join') return stay
    if (world.nowMs >= invite.link.expiresMs)
      return refuse(fail(now, 'LINK_EXPIRED').next, message.session, 'LINK_EXPIRED')
    const { session, joiner, commitment } = message
    return accept({ state: 'committed', session, joiner, commitment: commitment.slice() }, invite, world)
  }
  if (meeting === null || message.session !== meeting.session) {
    if (message.type !== 'join') return stay
    if (meeting === null && now.state === 'failed') return refuse(now, message.session, now.reason)
    return refuse(now, message.session, 'LINK_USED')
  }
  if (now.state === 'failed') {
    if (message.type === 'refuse') return stay
    return refuse(now, meeting.session, now.reason)
  }
  switch (message.type) {
    case 'join':
      // Our answer was lost. The same session with another joiner is somebody else with the link.
      if (now.state === 'done' || !isSameJoin(meeting, message)) return stay
      return accept(now, invite, world)
    case 'reveal':
      return onReveal(now, message.nonce, invite, world)
    case 'want':
      if (now.state === 'proving') return challenge(now, invite, world)
      if (now.state !== 'sending') return stay
      return sendChunks({ ...now, giveUpAtMs: world.nowMs + SENDING_WAIT_MS }, message.next)
    case 'proof':
      if (now.state !== 'proving') return stay
      return provesKeys(message.proof, invite.canary.value, introductionOf(now, invite), world.sodium)
        ? admit(now)
        : fail(now, 'KEY_MISMATCH')
    case 'done':
      if (now.state !== 'sending') return stay
      return { next: { state: 'done', words: now.words, ...meeting }, effects: [] }
    case 'refuse':
      // Whoever is admitted stays so, also if it walks away now: the person sees it in the list of nodes.
      if (now.state === 'done' || now.state === 'admitting') return stay
      return { next: { state: 'failed', reason: message.reason, meeting }, effects: [] }
    case 'accept':
    case 'chunk':
    case 'offer':
    case 'answer':
    case 'link':
    case 'canary':
      return stay
  }
}

type Met = Extract<Inviter, Meeting>

function onReveal(now: Met, nonce: Uint8Array, invite: Invite, world: PairingWorld): InviterStep {
  const stay: InviterStep = { next: now, effects: [] }
  if (now.state === 'done') return stay
  const introduction = introductionOf(now, invite)
  // Invariant 2.
  if (!opens(now.commitment, nonce, 'joiner', introduction, world.sodium))
    return now.state === 'committed' ? fail(now, 'PAIRING_REFUSED') : stay
  const reveal: InviterEffect = {
    type: 'send',
    message: { type: 'reveal', session: now.session, nonce: invite.nonce },
  }
  if (now.state !== 'committed') return { next: now, effects: [reveal] }
  const words = wordsFor(introduction, { joiner: nonce, inviter: invite.nonce }, world.sodium)
  const confirming = { ...meetingIn(now), state: 'confirming', words } as const
  if (!invite.autoConfirm) return { next: confirming, effects: [reveal] }
  const proving = challenge(confirming, invite, world)
  return { next: proving.next, effects: [reveal, ...proving.effects] }
}

/** The same box each time: a joiner that repeats itself learns nothing new. */
function challenge(
  now: Extract<Inviter, { state: 'confirming' | 'proving' }>,
  invite: Invite,
  world: PairingWorld,
): InviterStep {
  const { value, seed } = invite.canary
  const box = sealCanary(value, now.joiner.prekey, seed, world.sodium)
  if (box === undefined) return fail(now, 'KEY_MISMATCH')
  const next: Inviter = {
    ...meetingIn(now),
    state: 'proving',
    words: now.words,
    // Asking again buys no time: an admission that was confirmed comes soon or not at all.
    giveUpAtMs: now.state === 'proving' ? now.giveUpAtMs : world.nowMs + SENDING_WAIT_MS,
  }
  return { next, effects: [{ type: 'send', message: { type: 'canary', session: now.session, box } }] }
}

/** Invariant 3: the only way into `admitting`. */
function admit(now: Extract<Inviter, { state: 'proving' }>): InviterStep {
  const next: Inviter = { ...meetingIn(now), state: 'admitting', words: now.words }
  return { next, effects: [{ type: 'admit', joiner: now.joiner }] }
}

function accept(now: Met, invite: Invite, world: PairingWorld): InviterStep {
  const commitment = commitTo(invite.nonce, 'inviter', introductionOf(now, invite), world.sodium)
  return { next: now, effects: [{ type: 'send', message: { type: 'accept', session: now.session, commitment } }] }
}

function sendChunks(now: Extract<Inviter, { state: 'sending' }>, from: number): InviterStep {
  const { session, chunks } = now
  const effects = chunks.slice(from, from + WINDOW_CHUNKS).map((bytes, at): InviterEffect => {
    return { type: 'send', message: { type: 'chunk', session, index: from + at, count: chunks.length, bytes } }
  })
  return { next: now, effects }
}

/** Invariant 4. The joiner is told; if that is lost, its next message is answered with it again. */
function fail(now: Inviter, reason: Refusal): InviterStep {
  const meeting = meetingOf(now)
  const next: Inviter = { state: 'failed', reason, meeting }
  return meeting === null ? { next, effects: [] } : refuse(next, meeting.session, reason)
}

const refuse = (next: Inviter, session: Session, reason: Refusal): InviterStep => ({
  next,
  effects: [{ type: 'send', message: { type: 'refuse', session, reason } }],
})

const isOver = (now: Inviter): boolean => now.state === 'done' || now.state === 'failed'

export function meetingOf(now: Inviter): Meeting | null {
  switch (now.state) {
    case 'waiting':
      return null
    case 'failed':
      return now.meeting
    case 'committed':
    case 'confirming':
    case 'proving':
    case 'admitting':
    case 'sending':
    case 'done':
      return meetingIn(now)
  }
}

const meetingIn = ({ session, joiner, commitment }: Meeting): Meeting => ({ session, joiner, commitment })

const introductionOf = ({ session, joiner }: Meeting, { link }: Invite): Introduction => ({ link, session, joiner })

const isSameJoin = (meeting: Meeting, join: Extract<PairingMessage, { type: 'join' }>): boolean =>
  equalBytes(encodeMessage({ type: 'join', ...meeting }), encodeMessage(join))

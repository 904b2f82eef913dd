import type { NodeId } from '../ids.ts'
import { type Admission, checkAdmission, decodeAdmission } from './admission.ts'
import { type JoinerKeys, proveKeys } from './canary.ts'
import { type PairingWorld, WINDOW_CHUNKS } from './inviter.ts'
import type { PairingLink } from './link.ts'
import type { Joiner, PairingMessage, Refusal, Session } from './message.ts'
import { commitTo, type Introduction, opens, wordsFor } from './transcript.ts'
import type { WordNumbers } from './words.ts'

/**
 * The machine that wants to join (docs/spec/05-pairing.md §4). It says the same thing again until it hears something
 * new, and takes nothing out of its turn.
 *
 * Invariants:
 *   1. Its nonce goes out only after the inviter has committed to the other one.
 *   2. Words are shown only if the inviter's nonce opens that commitment.
 *   3. It proves its keys only when asked with a canary that they open, and ends otherwise.
 *   4. It joins only what goes back to the link's root and admits exactly this machine.
 */
export type Joining =
  | ({ readonly state: 'asking' } & Waiting)
  | ({ readonly state: 'revealing'; readonly commitment: Uint8Array } & Waiting)
  /** The words are on both screens; the person at the other machine decides, as long as the link lives. */
  | ({ readonly state: 'fetching'; readonly words: WordNumbers; readonly received: Received } & Waiting)
  | { readonly state: 'joined'; readonly admission: Admission; readonly inviter: NodeId }
  | { readonly state: 'failed'; readonly reason: Refusal }

interface Waiting {
  readonly sayAgainAtMs: number
  readonly giveUpAtMs: number
}

interface Received {
  /** 0 until the first chunk says. */
  readonly count: number
  /** Without holes. */
  readonly chunks: readonly Uint8Array[]
  /** By index, beyond the first hole, at most a window. */
  readonly early: ReadonlyMap<number, Uint8Array>
  /** The first chunk that nobody was asked for yet. */
  readonly asked: number
}

/** Fixed for one try. */
export interface JoinAttempt {
  readonly link: PairingLink
  readonly joiner: Joiner
  /** Whose public halves the joiner above names. */
  readonly keys: JoinerKeys
  readonly session: Session
  /** 32 random bytes of this try's own. */
  readonly nonce: Uint8Array
}

export type JoinerEvent =
  | { readonly type: 'message'; readonly message: PairingMessage }
  | { readonly type: 'tick' }
  /** The person here, or the program's end. */
  | { readonly type: 'cancelled' }

export type JoinerEffect =
  | { readonly type: 'send'; readonly message: PairingMessage }
  | { readonly type: 'show-words'; readonly words: WordNumbers }

export interface JoinerStep {
  readonly next: Joining
  readonly effects: readonly JoinerEffect[]
}

export const SAY_AGAIN_MS = 1_000
/** Silence of the other machine, whenever it is not a person who is waited for. */
export const ANSWER_WAIT_MS = 60_000

/** The first message goes with it. */
export function startJoiner(attempt: JoinAttempt, world: PairingWorld): JoinerStep {
  if (world.nowMs >= attempt.link.expiresMs) return failed('LINK_EXPIRED')
  return { next: { state: 'asking', ...waiting(world.nowMs) }, effects: [say(joinMessage(attempt, world))] }
}

export function stepJoiner(now: Joining, event: JoinerEvent, attempt: JoinAttempt, world: PairingWorld): JoinerStep {
  const stay: JoinerStep = { next: now, effects: [] }
  if (now.state === 'joined') {
    // Our last word was lost: the other machine is still sending.
    return event.type === 'message' && event.message.type === 'chunk'
      ? { next: now, effects: [say(done(attempt))] }
      : stay
  }
  if (now.state === 'failed') return stay
  switch (event.type) {
    case 'cancelled':
      return failed('PAIRING_REFUSED', attempt)
    case 'tick':
      return onTick(now, attempt, world)
    case 'message': {
      const { message } = event
      if (message.session !== attempt.session) return stay
      if (message.type === 'refuse') return failed(message.reason)
      switch (now.state) {
        case 'asking':
          if (message.type !== 'accept') return stay
          return {
            next: { state: 'revealing', commitment: message.commitment.slice(), ...waiting(world.nowMs) },
            effects: [say(revealMessage(attempt))],
          }
        case 'revealing':
          return message.type === 'reveal' ? onReveal(now, message.nonce, attempt, world) : stay
        case 'fetching':
          if (message.type === 'canary') return onCanary(now, message.box, attempt, world)
          return message.type === 'chunk' ? onChunk(now, message, attempt, world) : stay
      }
    }
  }
}

type Active = Exclude<Joining, { state: 'joined' | 'failed' }>

function onTick(now: Active, attempt: JoinAttempt, world: PairingWorld): JoinerStep {
  const { nowMs } = world
  if (nowMs >= now.giveUpAtMs) return failed('PAIRING_TIMEOUT', attempt)
  if (nowMs < now.sayAgainAtMs) return { next: now, effects: [] }
  const sayAgainAtMs = nowMs + SAY_AGAIN_MS
  switch (now.state) {
    case 'asking':
      return { next: { ...now, sayAgainAtMs }, effects: [say(joinMessage(attempt, world))] }
    case 'revealing':
      return { next: { ...now, sayAgainAtMs }, effects: [say(revealMessage(attempt))] }
    case 'fetching':
      return askOn({ ...now, sayAgainAtMs }, attempt)
  }
}

/** For a window from the first chunk that is missing: also when the last ones were sent unasked and got lost. */
function askOn(now: Extract<Joining, { state: 'fetching' }>, attempt: JoinAttempt): JoinerStep {
  const from = now.received.chunks.length
  return {
    next: { ...now, received: { ...now.received, asked: from + WINDOW_CHUNKS } },
    effects: [say(want(attempt, from))],
  }
}

function onReveal(
  now: Extract<Joining, { state: 'revealing' }>,
  nonce: Uint8Array,
  attempt: JoinAttempt,
  world: PairingWorld,
): JoinerStep {
  const introduction = introductionOf(attempt)
  // Invariant 2: a nonce that was chosen after ours was known could have chosen the words.
  if (!opens(now.commitment, nonce, 'inviter', introduction, world.sodium)) return failed('PAIRING_REFUSED', attempt)
  const words = wordsFor(introduction, { joiner: attempt.nonce, inviter: nonce }, world.sodium)
  return {
    next: {
      state: 'fetching',
      words,
      // The first window comes unasked.
      received: { count: 0, chunks: [], early: new Map(), asked: WINDOW_CHUNKS },
      sayAgainAtMs: world.nowMs + SAY_AGAIN_MS,
      // A person takes time, and the inviter's clock, which ends it, may be behind ours.
      giveUpAtMs: Math.max(world.nowMs, attempt.link.expiresMs) + ANSWER_WAIT_MS,
    },
    effects: [{ type: 'show-words', words }],
  }
}

/** Invariant 3. The other machine asks again, until it has the answer. */
function onCanary(
  now: Extract<Joining, { state: 'fetching' }>,
  box: Uint8Array,
  attempt: JoinAttempt,
  { nowMs, sodium }: PairingWorld,
): JoinerStep {
  const proof = proveKeys(box, introductionOf(attempt), attempt.keys, sodium)
  if (proof === undefined) return failed('KEY_MISMATCH', attempt)
  const message: PairingMessage = { type: 'proof', session: attempt.session, proof }
  return { next: { ...now, sayAgainAtMs: nowMs + SAY_AGAIN_MS }, effects: [say(message)] }
}

function onChunk(
  now: Extract<Joining, { state: 'fetching' }>,
  chunk: Extract<PairingMessage, { type: 'chunk' }>,
  attempt: JoinAttempt,
  world: PairingWorld,
): JoinerStep {
  const stay: JoinerStep = { next: now, effects: [] }
  const { received } = now
  if (received.count !== 0 && chunk.count !== received.count) return stay
  const next = received.chunks.length
  if (chunk.index < next || chunk.index >= next + WINDOW_CHUNKS || received.early.has(chunk.index)) return stay

  const early = new Map(received.early).set(chunk.index, chunk.bytes.slice())
  const chunks = [...received.chunks]
  for (let bytes = early.get(next); bytes !== undefined; bytes = early.get(chunks.length)) {
    early.delete(chunks.length)
    chunks.push(bytes)
  }
  if (chunks.length === chunk.count) return finish(chunks, attempt, world)

  const progress = { ...now, ...waiting(world.nowMs), received: { ...received, count: chunk.count, chunks, early } }
  // The window is read to its end: ask for the next one without waiting for silence.
  return chunks.length >= received.asked ? askOn(progress, attempt) : { next: progress, effects: [] }
}

/** Invariant 4. */
function finish(chunks: readonly Uint8Array[], attempt: JoinAttempt, world: PairingWorld): JoinerStep {
  const admission = decodeAdmission(chunks)
  if (!admission.ok) return failed('PAIRING_REFUSED', attempt)
  const inviter = checkAdmission(admission.value, attempt.link, attempt.joiner.identity, world.nowMs, world.sodium)
  if (!inviter.ok) return failed('PAIRING_REFUSED', attempt)
  return {
    next: { state: 'joined', admission: admission.value, inviter: inviter.value },
    effects: [say(done(attempt))],
  }
}

const failed = (reason: Refusal, tell?: JoinAttempt): JoinerStep => ({
  next: { state: 'failed', reason },
  effects: tell === undefined ? [] : [say({ type: 'refuse', session: tell.session, reason })],
})

const say = (message: PairingMessage): JoinerEffect => ({ type: 'send', message })

const waiting = (nowMs: number): Waiting => ({ sayAgainAtMs: nowMs + SAY_AGAIN_MS, giveUpAtMs: nowMs + ANSWER_WAIT_MS })

const joinMessage = (attempt: JoinAttempt, { sodium }: PairingWorld): PairingMessage => ({
  type: 'join',
  session: attempt.session,
  joiner: attempt.joiner,
  commitment: commitTo(attempt.nonce, 'joiner', introductionOf(attempt), sodium),
})
const revealMessage = ({ session, nonce }: JoinAttempt): PairingMessage => ({ type: 'reveal', session, nonce })
const want = ({ session }: JoinAttempt, next: number): PairingMessage => ({ type: 'want', session, next })
const done = ({ session }: JoinAttempt): PairingMessage => ({ type: 'done', session })

const introductionOf = ({ link, session, joiner }: JoinAttempt): Introduction => ({ link, session, joiner })

import { QUESTION_CANCELLED } from '@sealmesh/protocol/messages/capability'
import type { Answer, Question } from '@sealmesh/protocol/messages/capability'
import type { Situation } from './selection.ts'
import { ranked } from './selection.ts'
import type { Effect, Step, World } from './step.ts'

/**
 * One question to whoever can answer it: docs/spec/17-patterns.md §3. The first good answer of anybody that was asked
 * counts, and ends it; nothing that comes afterwards changes that.
 */

/** Nobody able is there: how long until it looks again. */
const LOOK_MS = 500
/** Should the registry itself not answer. */
const LOOK_AGAIN_MS = 5_000

export interface Try {
  readonly agent: string
  readonly atMs: number
  readonly state: 'waiting' | 'silent' | 'declined' | 'failed'
}

export type AskEnd =
  | { readonly state: 'answered'; readonly by: string; readonly value: Question['body'] }
  | { readonly state: 'failed'; readonly reason: string }
  | { readonly state: 'cancelled' }

export interface Ask {
  readonly question: Question
  /** Before the next one is asked, beside those that have not answered. */
  readonly tryMs: number
  readonly triesMax: number
  readonly tries: readonly Try[]
  readonly dueAtMs: number
  readonly end: AskEnd | null
}

export type AskEvent =
  | { readonly type: 'tick' }
  | { readonly type: 'candidates'; readonly situation: Situation }
  | { readonly type: 'answer'; readonly from: string; readonly outcome: Answer['outcome'] }
  | { readonly type: 'cancel' }

export type AskEffect =
  /** Answer with `candidates`. */
  | { readonly type: 'look' }
  | { readonly type: 'performed'; readonly agent: string; readonly ok: boolean; readonly tookMs: number | null }
export type AskStep = Step<Ask, AskEffect>

export const askDueAtMs = (ask: Ask): number | null =>
  ask.end === null ? Math.min(ask.dueAtMs, ask.question.deadlineAtMs) : null

export function stepAsk(ask: Ask, event: AskEvent, world: World): AskStep {
  if (ask.end !== null) {
    if (event.type !== 'answer') return { next: ask, effects: [] }
    return { next: ask, effects: [{ type: 'note', event: 'late-answer', agent: event.from }] }
  }
  switch (event.type) {
    case 'tick':
      return tick(ask, world)
    case 'candidates':
      return askNext(ask, event.situation, world)
    case 'answer':
      return hear(ask, event, world)
    case 'cancel':
      return finish(ask, { state: 'cancelled' })
  }
}

function tick(ask: Ask, { nowMs }: World): AskStep {
  if (nowMs >= ask.question.deadlineAtMs) {
    const silent = ask.tries.filter(({ state }) => state === 'waiting')
    const step = finish(ask, { state: 'failed', reason: 'Nobody answered in time' })
    return { next: step.next, effects: [...step.effects, ...silent.map(({ agent }) => slow(agent))] }
  }
  if (nowMs < ask.dueAtMs) return { next: ask, effects: [] }
  const waiting = ask.tries.filter(({ state }) => state === 'waiting')
  const tries = ask.tries.map((each): Try => (each.state === 'waiting' ? { ...each, state: 'silent' } : each))
  const next = { ...ask, tries, dueAtMs: nowMs + LOOK_AGAIN_MS }
  return { next, effects: [...waiting.map(({ agent }) => slow(agent)), { type: 'look' }] }
}

function askNext(ask: Ask, situation: Situation, { nowMs }: World): AskStep {
  // A second look of one tick, or one that was overtaken.
  if (ask.tries.some(({ state }) => state === 'waiting')) return { next: ask, effects: [] }
  if (ask.tries.length >= ask.triesMax) {
    // Who was silent may be slow: what is left of the time is theirs.
    if (ask.tries.some(({ state }) => state === 'silent'))
      return { next: { ...ask, dueAtMs: ask.question.deadlineAtMs }, effects: [] }
    return finish(ask, { state: 'failed', reason: 'Everybody who was asked declined or failed' })
  }
  // Who declined may have room again, once there is nobody else.
  const tried = new Set(ask.tries.map(({ agent }) => agent))
  const declined = new Set(ask.tries.filter(({ state }) => state !== 'declined').map(({ agent }) => agent))
  const { capability } = ask.question
  const agent = ranked(capability, situation, tried)[0] ?? ranked(capability, situation, declined)[0]
  if (agent === undefined) return { next: { ...ask, dueAtMs: nowMs + LOOK_MS }, effects: [] }
  const tries = [...ask.tries, { agent, atMs: nowMs, state: 'waiting' as const }]
  const draft = {
    to: agent,
    type: 'question',
    payload: ask.question,
    correlation: ask.question.question,
    expiresMs: Math.max(1, ask.question.deadlineAtMs - nowMs),
  }
  return { next: { ...ask, tries, dueAtMs: nowMs + ask.tryMs }, effects: [{ type: 'send', draft }] }
}

function hear(ask: Ask, { from, outcome }: Extract<AskEvent, { type: 'answer' }>, { nowMs }: World): AskStep {
  const place = ask.tries.findLastIndex(({ agent }) => agent === from)
  const tried = ask.tries[place]
  if (tried === undefined) return { next: ask, effects: [{ type: 'note', event: 'answer-of-nobody', agent: from }] }
  if (!('declined' in outcome) && outcome.ok) {
    const step = finish(ask, { state: 'answered', by: from, value: outcome.value })
    const performed: AskEffect = { type: 'performed', agent: from, ok: true, tookMs: nowMs - tried.atMs }
    return { next: step.next, effects: [...step.effects, performed] }
  }
  if (tried.state !== 'waiting' && tried.state !== 'silent') return { next: ask, effects: [] }
  const state = 'declined' in outcome ? 'declined' : 'failed'
  const tries = ask.tries.with(place, { ...tried, state })
  // To have no room is no fault.
  const learned: AskEffect[] =
    state === 'failed' ? [{ type: 'performed', agent: from, ok: false, tookMs: nowMs - tried.atMs }] : []
  const dueAtMs = tried.state === 'waiting' ? nowMs : ask.dueAtMs
  return { next: { ...ask, tries, dueAtMs }, effects: [...learned, { type: 'note', event: state, agent: from }] }
}

/** Whoever may be at work on it still is told to stop. */
function finish(ask: Ask, end: AskEnd): AskStep {
  const { question } = ask.question
  const busy = new Set(
    ask.tries.filter(({ state }) => state === 'waiting' || state === 'silent').map(({ agent }) => agent),
  )
  if (end.state === 'answered') busy.delete(end.by)
  const cancels = [...busy].map((to): Effect => {
    const draft = { to, type: QUESTION_CANCELLED, payload: { question }, correlation: question }
    return { type: 'send', draft }
  })
  const note: Effect = { type: 'note', event: end.state, ...(end.state === 'answered' ? { agent: end.by } : {}) }
  return { next: { ...ask, end }, effects: [note, ...cancels] }
}

const slow = (agent: string): AskEffect => ({ type: 'performed', agent, ok: false, tookMs: null })

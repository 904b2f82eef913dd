import { CONTENT_CHARACTERS_MAX } from '@sealmesh/protocol/messages/task'
import type { Outcome } from '@sealmesh/protocol/messages/task'
import type { Contribution, RoundInvite, RoundPhase, RoundRecord } from '@sealmesh/protocol/messages/round'
import type { Effect, Step, World } from './step.ts'

/**
 * A round of brainstorm, critique, vote and build, on the side of its caller: docs/spec/17-patterns.md §6. It gathers
 * one contribution of each participant in each of the first two phases, the first that is recorded; the vote and the
 * task that follow have ids of their own made from the round's, so that a crash begins neither twice.
 */

export interface Round {
  readonly record: RoundRecord
}

export type RoundEvent =
  | { readonly type: 'tick' }
  /** After a start: what runs is gone on with. */
  | { readonly type: 'resumed' }
  | {
      readonly type: 'contribution'
      readonly from: string
      readonly phase: 'brainstorm' | 'critique'
      readonly contribution: Contribution
    }
  | { readonly type: 'voted'; readonly decision: string | null }
  | { readonly type: 'built'; readonly result: Outcome }
  | { readonly type: 'cancel' }

/** Begin it, or go on with it, and answer with `voted` or `built`; `stop` ends either. */
export type RoundEffect =
  | { readonly type: 'vote'; readonly record: RoundRecord }
  | { readonly type: 'build'; readonly record: RoundRecord }
  | { readonly type: 'stop' }
export type RoundStep = Step<Round, RoundEffect>

export const roundKey = (id: string): string => `round.${id}`

export const isRoundOver = ({ phase }: RoundRecord): boolean =>
  phase === 'done' || phase === 'undecided' || phase === 'cancelled'

export const roundDueAtMs = ({ record: { phase, deadlineAtMs } }: Round): number | null =>
  phase === 'brainstorm' || phase === 'critique' ? deadlineAtMs : null

export function callRound(record: RoundRecord, world: World): RoundStep {
  return enter(record, 'brainstorm', world)
}

export function stepRound(round: Round, event: RoundEvent, world: World): RoundStep {
  const { record } = round
  const stay: RoundStep = { next: round, effects: [] }
  if (isRoundOver(record)) return stay
  switch (event.type) {
    case 'tick': {
      const dueAtMs = roundDueAtMs(round)
      return dueAtMs !== null && world.nowMs >= dueAtMs ? goOn(record, world) : stay
    }
    case 'resumed':
      return { next: round, effects: begin(record, world) }
    case 'contribution':
      return gather(round, event, world)
    case 'voted':
      if (record.phase !== 'vote') return stay
      return event.decision === null
        ? enter(record, 'undecided', world)
        : enter({ ...record, decision: event.decision }, 'build', world)
    case 'built':
      return record.phase === 'build' ? enter({ ...record, result: event.result }, 'done', world) : stay
    case 'cancel': {
      const { next, effects } = enter(record, 'cancelled', world)
      return { next, effects: [...effects, { type: 'stop' }] }
    }
  }
}

function gather(round: Round, event: Extract<RoundEvent, { type: 'contribution' }>, world: World): RoundStep {
  const { record } = round
  const { from, contribution } = event
  const said = event.phase === 'brainstorm' ? record.ideas : record.critiques
  const wanted = event.phase === record.phase && world.nowMs < record.deadlineAtMs
  if (!wanted || !record.participants.includes(from) || said.some(({ by }) => by === from))
    return { next: round, effects: [{ type: 'note', event: 'not-gathered', agent: from }] }
  // A critique of no idea that there is, is one of all of them.
  const about = record.ideas.some(({ id }) => id === contribution.about) ? contribution.about : null
  const kind = event.phase === 'brainstorm' ? 'idea' : 'critique'
  const more = [...said, { id: `${kind}-${said.length + 1}`, by: from, text: contribution.text, about }]
  const next: RoundRecord = event.phase === 'brainstorm' ? { ...record, ideas: more } : { ...record, critiques: more }
  if (more.length === record.participants.length) return goOn(next, world)
  return { next: { record: next }, effects: [recordOf(next), { type: 'note', event: kind, agent: from }] }
}

function goOn(record: RoundRecord, world: World): RoundStep {
  if (record.phase === 'critique') return enter(record, 'vote', world)
  return enter(record, record.ideas.length === 0 ? 'undecided' : 'critique', world)
}

function enter(record: RoundRecord, phase: RoundPhase, world: World): RoundStep {
  const next: RoundRecord = { ...record, phase, deadlineAtMs: world.nowMs + record.phaseMs }
  return { next: { record: next }, effects: [recordOf(next), { type: 'note', event: phase }, ...begin(next, world)] }
}

function begin(record: RoundRecord, world: World): (Effect | RoundEffect)[] {
  const { phase } = record
  if (phase === 'brainstorm' || phase === 'critique') return invites(record, phase, world)
  if (phase === 'vote' || phase === 'build') return [{ type: phase, record }]
  return []
}

/** To those who have not said anything in this phase. */
function invites(record: RoundRecord, phase: 'brainstorm' | 'critique', { nowMs }: World): Effect[] {
  const { round, problem, deadlineAtMs, participants } = record
  const said = phase === 'brainstorm' ? record.ideas : record.critiques
  const ideas = record.ideas.map(({ id, text }) => ({ id, text }))
  const payload: RoundInvite = { round, phase, problem, ideas, deadlineAtMs }
  return participants
    .filter((name) => !said.some(({ by }) => by === name))
    .map((to) => ({
      type: 'send',
      draft: {
        to,
        type: 'invite',
        payload,
        correlation: round,
        durable: true,
        expiresMs: Math.max(1, deadlineAtMs - nowMs),
      },
    }))
}

/** What whoever builds it is given: the idea, and as many critiques of it as fit. */
export function buildPayload({ problem, ideas, critiques, decision }: RoundRecord) {
  const idea = ideas.find(({ id }) => id === decision)?.text ?? ''
  const payload = { problem, idea, critiques: [] as string[] }
  for (const { text, about } of critiques) {
    if (about !== null && about !== decision) continue
    const more = { ...payload, critiques: [...payload.critiques, text] }
    if (JSON.stringify(more).length > CONTENT_CHARACTERS_MAX) break
    payload.critiques.push(text)
  }
  return payload
}

const recordOf = (record: RoundRecord): Effect => ({ type: 'record', key: roundKey(record.round), value: record })

import type { Message } from '@sealmesh/protocol/messages/message'
import { VOTE_RECEIPT } from '@sealmesh/protocol/messages/vote'
import type { Vote, VoteCall, VoteReceipt, VoteRecord } from '@sealmesh/protocol/messages/vote'
import type { Effect, Step, World } from './step.ts'
import { tally } from './tally.ts'

/**
 * One vote, on the side of its caller: docs/spec/17-patterns.md §4. Invariants:
 * 1. A voter's first vote that was recorded before the deadline counts; it is neither counted again nor changed.
 * 2. Nobody but those named when it was called has a vote.
 * 3. An outcome, once recorded, is the outcome: it is recorded before anybody is told, and late votes leave it alone.
 */

export interface Ballot {
  readonly record: VoteRecord
}

export type BallotEvent =
  | { readonly type: 'tick' }
  /** After a start: those who may not have heard are told again. */
  | { readonly type: 'resumed' }
  | { readonly type: 'vote'; readonly from: string; readonly vote: Vote; readonly message: Message }
  | { readonly type: 'cancel' }
  | { readonly type: 'told' }

/** Everybody was sent the outcome: answer with `told`. */
export interface BallotEffect {
  readonly type: 'all-told'
}
export type BallotStep = Step<Ballot, BallotEffect>

export const voteKey = (id: string): string => `vote.${id}`

export const ballotDueAtMs = ({ record }: Ballot): number | null =>
  record.outcome === null ? record.deadlineAtMs : null

export function callVote(record: VoteRecord, world: World): BallotStep {
  return { next: { record }, effects: [recordOf(record), { type: 'note', event: 'called' }, ...calls(record, world)] }
}

export function stepBallot(ballot: Ballot, event: BallotEvent, world: World): BallotStep {
  const { record } = ballot
  const isOpen = record.outcome === null
  switch (event.type) {
    case 'tick':
      return isOpen && world.nowMs >= record.deadlineAtMs ? close(record) : { next: ballot, effects: [] }
    case 'resumed':
      if (isOpen) return { next: ballot, effects: calls(record, world) }
      return { next: ballot, effects: record.told ? [] : [...results(record), { type: 'all-told' }] }
    case 'vote':
      return takeVote(ballot, event, world)
    case 'cancel':
      if (!isOpen) return { next: ballot, effects: [] }
      return close(record, { ...tally(record), decision: null, reason: 'cancelled' })
    case 'told': {
      const told = { ...record, told: true }
      return { next: { record: told }, effects: [recordOf(told)] }
    }
  }
}

function takeVote(ballot: Ballot, event: Extract<BallotEvent, { type: 'vote' }>, world: World): BallotStep {
  const { record } = ballot
  const { from, vote } = event
  const refuse = (why: VoteReceipt['why'], choice = vote.choice, counts = false): BallotStep => ({
    next: ballot,
    effects: [receipt(event, { vote: record.vote, choice, counts, why }), { type: 'note', event: why, agent: from }],
  })
  // Invariant 2.
  if (!record.electorate.includes(from)) return refuse('not-asked')
  // Invariant 1: also when the same vote comes again.
  const before = record.votes.find(({ voter }) => voter === from)
  if (before !== undefined) return refuse('voted-already', before.choice, true)
  if (vote.choice !== null && !record.options.includes(vote.choice)) return refuse('no-such-option')
  const cast = { voter: from, choice: vote.choice, atMs: world.nowMs }
  if (record.outcome !== null) {
    if (record.late.some(({ voter }) => voter === from)) return refuse('late')
    const late = { ...record, late: [...record.late, cast] }
    const { effects } = refuse('late')
    return { next: { record: late }, effects: [recordOf(late), ...effects] }
  }
  if (world.nowMs >= record.deadlineAtMs) {
    const closed = close(record)
    const { next, effects } = takeVote(closed.next, event, world)
    return { next, effects: [...closed.effects, ...effects] }
  }
  const counted: VoteRecord = { ...record, votes: [...record.votes, cast] }
  const answer = receipt(event, { vote: record.vote, choice: vote.choice, counts: true, why: 'recorded' })
  const note: Effect = { type: 'note', event: 'voted', agent: from }
  if (counted.votes.length < counted.electorate.length)
    return { next: { record: counted }, effects: [recordOf(counted), answer, note] }
  const { next, effects } = close(counted)
  return { next, effects: [...effects, answer, note] }
}

function close(record: VoteRecord, outcome = tally(record)): BallotStep {
  const closed: VoteRecord = { ...record, outcome }
  const note: Effect = { type: 'note', event: outcome.reason }
  return { next: { record: closed }, effects: [recordOf(closed), note, ...results(closed), { type: 'all-told' }] }
}

/** To those who have not voted. */
function calls(record: VoteRecord, { nowMs }: World): Effect[] {
  const { vote, question, options, quorum, rule, deadlineAtMs } = record
  const payload: VoteCall = { vote, question, options, quorum, rule, deadlineAtMs }
  const voted = new Set(record.votes.map(({ voter }) => voter))
  return record.electorate
    .filter((voter) => !voted.has(voter))
    .map((to) => ({
      type: 'send',
      draft: { to, type: 'vote-call', payload, expiresMs: Math.max(1, deadlineAtMs - nowMs), ...about(record) },
    }))
}

const results = (record: VoteRecord): Effect[] =>
  record.electorate.map((to) => ({
    type: 'send',
    draft: { to, type: 'vote-result', payload: { vote: record.vote, outcome: record.outcome }, ...about(record) },
  }))

const receipt = ({ from, message }: Extract<BallotEvent, { type: 'vote' }>, payload: VoteReceipt): Effect => ({
  type: 'send',
  draft: { to: from, type: VOTE_RECEIPT, payload, correlation: payload.vote, causedBy: message },
})

const recordOf = (record: VoteRecord): Effect => ({ type: 'record', key: voteKey(record.vote), value: record })

const about = ({ vote }: VoteRecord) => ({ correlation: vote, durable: true })

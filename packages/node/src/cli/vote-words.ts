import type { VoteRecord } from '@sealmesh/protocol/messages/vote'
import type { Found } from './own-records.ts'
import { oneLine } from './printable.ts'
import type { Column } from './table.ts'
import { at } from './task-words.ts'

/** A vote for people. Questions and options are words of agents: made harmless, and cut. */

const SHOWN_MAX = 400

export const VOTE_COLUMNS: readonly Column[] = [
  { title: 'ID' },
  { title: 'CALLED BY' },
  { title: 'VOTES', align: 'right' },
  { title: 'UNTIL' },
  { title: 'DECISION' },
  { title: 'QUESTION' },
]

export const voteRow = ({ agent, record }: Found<VoteRecord>): readonly string[] => [
  record.vote,
  agent,
  `${record.votes.length}/${record.electorate.length}`,
  at(record.deadlineAtMs),
  record.outcome === null ? '-' : (record.outcome.decision ?? record.outcome.reason),
  oneLine(record.question, 60),
]

export const voteLine = ({ voter, choice }: VoteRecord['votes'][number]): string =>
  `  ${oneLine(`${voter}: ${choice ?? 'abstains'}`)}`

export function showVote({ agent, record }: Found<VoteRecord>): string[] {
  const { vote, question, options, quorum, rule, deadlineAtMs, votes, late, outcome } = record
  return [
    `${vote}  ${oneLine(question, SHOWN_MAX)}`,
    `  ${oneLine(options.join(', '), SHOWN_MAX)}; called by ${agent}, ${rule}, quorum ${quorum}, until ${at(deadlineAtMs)}`,
    ...votes.map(voteLine),
    ...late.map((each) => `${voteLine(each)} (late)`),
    ...(outcome === null ? [] : [outcomeLine(outcome)]),
  ]
}

function outcomeLine({ decision, reason, counts, abstained, missing }: NonNullable<VoteRecord['outcome']>): string {
  const numbers = counts.map(({ option, votes }) => `${option} ${votes}`).join(', ')
  const head = decision === null ? `no decision: ${reason}` : `decided: ${decision}`
  return oneLine(`${head} (${numbers}; ${abstained} abstained, ${missing} missing)`, SHOWN_MAX)
}

import type { VoteOutcome, VoteRecord } from '@sealmesh/protocol/messages/vote'

/**
 * What recorded votes come to. An abstention counts to the quorum and for no option; a majority is more than half of
 * the votes for any option; two options with most votes are a tie, and a tie is no decision.
 */
export function tally(record: Pick<VoteRecord, 'options' | 'electorate' | 'quorum' | 'rule' | 'votes'>): VoteOutcome {
  const { options, electorate, quorum, rule, votes } = record
  const counts = options.map((option) => ({ option, votes: votes.filter(({ choice }) => choice === option).length }))
  const abstained = votes.filter(({ choice }) => choice === null).length
  const outcome = (decision: string | null, reason: VoteOutcome['reason']): VoteOutcome => ({
    decision,
    reason,
    counts,
    abstained,
    missing: electorate.length - votes.length,
  })
  if (votes.length < quorum) return outcome(null, 'no-quorum')
  const most = Math.max(...counts.map((count) => count.votes))
  const [first, ...equal] = counts.filter((count) => count.votes === most)
  if (first === undefined || most === 0 || equal.length > 0) return outcome(null, 'tie')
  if (rule === 'majority' && most * 2 <= votes.length - abstained) return outcome(null, 'no-majority')
  return outcome(first.option, 'decided')
}

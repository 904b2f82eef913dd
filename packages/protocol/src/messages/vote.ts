import { z } from 'zod'
import { Name } from '../ipc/shapes.ts'
import { MessageId } from './message.ts'
import { Moment } from './task.ts'

/** A vote, as its caller keeps it, and what it and the voters say: docs/spec/17-patterns.md §4. */

/** All their votes, counted and late, fit one register. */
export const ELECTORATE_MAX = 128
export const OPTIONS_MAX = 32
const Option = z.string().min(1).max(64)
export const VoteRule = z.enum(['plurality', 'majority'])
export type VoteRule = z.infer<typeof VoteRule>
const Ask = z.string().max(2_048)

export const VoteCall = z.object({
  vote: MessageId,
  question: Ask,
  options: z.array(Option).min(1).max(OPTIONS_MAX),
  quorum: z.number().int().min(1).max(ELECTORATE_MAX),
  rule: VoteRule,
  /** By the caller's clock, which alone decides. */
  deadlineAtMs: Moment,
})
export type VoteCall = z.infer<typeof VoteCall>

/** `choice` null: an abstention. */
export const Vote = z.object({ vote: MessageId, choice: Option.nullable() })
export type Vote = z.infer<typeof Vote>

/** The answer to every vote: which choice of that voter is recorded, and whether it counts. */
export const VoteReceipt = z.object({
  vote: MessageId,
  choice: Option.nullable(),
  counts: z.boolean(),
  why: z.enum(['recorded', 'voted-already', 'late', 'not-asked', 'no-such-option']),
})
export type VoteReceipt = z.infer<typeof VoteReceipt>
export const VOTE_RECEIPT = 'vote-receipt'

const Ballot = z.object({ voter: Name, choice: Option.nullable(), atMs: Moment })
export const VoteOutcome = z.object({
  /** Null: no decision, for the reason that is given. */
  decision: Option.nullable(),
  reason: z.enum(['decided', 'no-quorum', 'tie', 'no-majority', 'cancelled']),
  counts: z.array(z.object({ option: Option, votes: z.number().int().min(0) })),
  abstained: z.number().int().min(0),
  /** Of the electorate: whose vote was not recorded in time. */
  missing: z.number().int().min(0),
})
export type VoteOutcome = z.infer<typeof VoteOutcome>

/** `vote.ID` in the caller's layer `tasks`. Its outcome, once there, never changes. */
export const VoteRecord = VoteCall.extend({
  version: z.literal(1),
  electorate: z.array(Name).min(1).max(ELECTORATE_MAX),
  openedAtMs: Moment,
  votes: z.array(Ballot).max(ELECTORATE_MAX),
  /** Came after the end: shown, never counted. One for each voter. */
  late: z.array(Ballot).max(ELECTORATE_MAX),
  outcome: VoteOutcome.nullable(),
  /** Everybody was sent the outcome. */
  told: z.boolean(),
})
export type VoteRecord = z.infer<typeof VoteRecord>

export const VoteResult = z.object({ vote: MessageId, outcome: VoteOutcome })

import { z } from 'zod'
import { AuctionCall, Award, AWARD_ANSWER, AwardAnswer, Bid } from '../messages/auction.ts'
import { Contribution, RoundInvite } from '../messages/round.ts'
import {
  TASK_REASSIGN,
  TASK_RECORDED,
  TaskAccepted,
  TaskCancelled,
  TaskDeclined,
  TaskReassign,
  TaskRecorded,
  TaskRequest,
  TaskResult,
} from '../messages/task.ts'
import { Vote, VOTE_RECEIPT, VoteCall, VoteReceipt, VoteResult } from '../messages/vote.ts'
import { AGENT_DOOR_VERSION } from '../version.ts'
import { agentMethods, agentNotifications } from './agent-methods.ts'

/** What agents say to each other in patterns, by the type of the message: docs/spec/17-patterns.md. */
const PAYLOADS = {
  'task-request': TaskRequest,
  'task-accepted': TaskAccepted,
  'task-declined': TaskDeclined,
  'task-result': TaskResult,
  [TASK_RECORDED]: TaskRecorded,
  [TASK_REASSIGN]: TaskReassign,
  'task-cancelled': TaskCancelled,
  'vote-call': VoteCall,
  vote: Vote,
  [VOTE_RECEIPT]: VoteReceipt,
  'vote-result': VoteResult,
  'auction-call': AuctionCall,
  bid: Bid,
  award: Award,
  [AWARD_ANSWER]: AwardAnswer,
  invite: RoundInvite,
  idea: Contribution,
  critique: Contribution,
} as const

/**
 * The agents' door for programs in other languages, as JSON Schema. What a caller may leave out is not required; what the
 * node answers is whole.
 */
export function agentsDoorSchema(): Record<string, unknown> {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: "The agents' door of a Sealmesh node",
    version: AGENT_DOOR_VERSION,
    methods: mapped(agentMethods, ({ params, result }) => ({
      params: schemaOf(params, 'input'),
      result: schemaOf(result, 'output'),
    })),
    notifications: mapped(agentNotifications, (params) => schemaOf(params, 'output')),
    payloads: mapped(PAYLOADS, (payload) => schemaOf(payload, 'input')),
  }
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const { $schema: _draft, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      // A later node may answer more: who reads it passes over what he does not know.
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties
    },
  })
  return rest
}

const mapped = <T, U>(all: Readonly<Record<string, T>>, make: (each: T) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(all).map(([name, each]) => [name, make(each)]))

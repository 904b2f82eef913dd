import { z } from 'zod'
import { isName, NAME_PATTERN } from '../ids.ts'
import { isAgentAddress, isRecipient, MESSAGE_ID } from './addresses.ts'
import { HOPS_MAX, PARENTS_MAX } from './limits.ts'

/**
 * What agents say to each other, on one machine and across machines: docs/spec/16-agents.md §3. One envelope for all
 * of it. The node fills in who sends and when; nobody can say that himself.
 */

export const MESSAGE_VERSION = 1

export const MessageId = z.string().regex(MESSAGE_ID, 'An id has 1 to 64 letters, digits, - or _')
const ADDRESS_PATTERN = `${NAME_PATTERN}(?:@${NAME_PATTERN})?`
export const AgentAddress = z
  .string()
  .max(130)
  .refine(isAgentAddress, 'An agent, or agent@machine')
  .meta({ pattern: `^${ADDRESS_PATTERN}$` })
export const Recipient = z
  .string()
  .max(130)
  .refine(isRecipient, 'An agent, agent@machine, #topic or *')
  .meta({ pattern: `^(?:\\*|#${NAME_PATTERN}|${ADDRESS_PATTERN})$` })

/** Types that programs of this product know. Any other name may be used between agents that agree on it. */
export const MESSAGE_TYPES = [
  'text',
  'question',
  'response',
  'status',
  'directive',
  'heartbeat',
  'task-request',
  'task-accepted',
  'task-declined',
  'task-result',
  'task-cancelled',
  'capability-query',
  'capability-answer',
  'invite',
  'invite-answer',
  'vote-call',
  'vote',
  'vote-result',
  'auction-call',
  'bid',
  'award',
  'idea',
  'critique',
  'experiment-data',
  'paper-draft',
  'review-result',
] as const
export type KnownMessageType = (typeof MESSAGE_TYPES)[number]
export const MessageType = z
  .string()
  .refine(isName, 'A type is lower case, digits, - and _')
  .meta({ pattern: `^${NAME_PATTERN}$` })

/** 0 low, 1 normal, 2 urgent, 3 critical. Under load the higher ones are delivered first. */
export const PRIORITIES = [0, 1, 2, 3] as const
export const Priority = z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)])
export type Priority = z.infer<typeof Priority>

/** Any JSON value: it was read as JSON, so looking through it once more would find nothing. */
export const Payload = z.unknown() as unknown as z.ZodType<z.core.util.JSONType>

/** As `toISOString` writes it. Nodes put it into JSON as it is, so nothing else may stand there. */
const Instant = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'A time as in 2026-11-20T14:03:05.120Z')

export const Message = z.object({
  version: z.literal(MESSAGE_VERSION),
  id: MessageId,
  /** `agent@machine`, proven: by its token on this machine, by the packet's signature across machines. */
  from: AgentAddress,
  to: Recipient,
  type: MessageType,
  priority: Priority,
  /** What an answer answers; the round that a vote or a bid belongs to. */
  correlation: MessageId.nullable(),
  sentAt: Instant,
  /** Worth nothing afterwards: it is dropped wherever it is. */
  expiresAt: Instant.nullable(),
  hops: z.number().int().min(0).max(HOPS_MAX),
  /** Messages that caused this one. */
  parents: z.array(MessageId).max(PARENTS_MAX),
  /** Kept on disk until its recipient has acknowledged it. */
  durable: z.boolean(),
  payload: Payload,
})
export type Message = z.infer<typeof Message>

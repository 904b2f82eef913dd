import { z } from 'zod'
import { isName, NAME_PATTERN } from '../ids.ts'
import { Name } from '../ipc/shapes.ts'
import { MessageId } from './message.ts'

/**
 * A task, as the one who asked keeps it in a register of its own, and what it and a worker say to each other about it:
 * docs/spec/17-patterns.md §2. Times are milliseconds since 1970 by the clock of the one who asked.
 */

/** JSON text of what a pattern carries, so that a register holds it with all that is kept beside it. */
export const CONTENT_CHARACTERS_MAX = 16_384
export const Content = z
  .json()
  .refine((value) => JSON.stringify(value).length <= CONTENT_CHARACTERS_MAX, 'Keep it in a document, and send its UMR')
/** Times that one task is given to somebody, those that he declined among them. All of them fit its register. */
export const ATTEMPTS_MAX = 256
/** Agents that may pass a task on, one to the next, beside the one who asked. */
export const DELEGATIONS_MAX = 4
/** What happened to a task, the oldest left out first. */
export const HISTORY_MAX = 64
export const Title = z.string().max(256)
const Why = z.string().max(512)
export const Capability = z
  .string()
  .refine(isName, 'A capability is lower case, digits, - and _')
  .meta({ pattern: `^${NAME_PATTERN}$` })
export const Moment = z.number().int().min(0)
const Attempt = z.number().int().min(1).max(ATTEMPTS_MAX)

export const Outcome = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), value: Content }),
  z.object({ ok: z.literal(false), reason: Why }),
])
export type Outcome = z.infer<typeof Outcome>

export const TaskRequest = z.object({
  task: MessageId,
  attempt: Attempt,
  title: Title,
  capability: Capability,
  payload: Content,
  deadlineAtMs: Moment.nullable(),
  /** Whoever asked for it first, and each that has passed it on: none of them is given it again. */
  visited: z.array(Name).max(DELEGATIONS_MAX + 1),
})
export type TaskRequest = z.infer<typeof TaskRequest>

export const TaskAccepted = z.object({ task: MessageId, attempt: Attempt })
export const TaskDeclined = z.object({
  task: MessageId,
  attempt: Attempt,
  reason: z.enum(['unable', 'no-room', 'too-far', 'expired']),
})
export const TaskResult = z.object({ task: MessageId, attempt: Attempt, outcome: Outcome })
export const TaskCancelled = z.object({ task: MessageId })
/** Of the asker to itself, by its owner: another one shall do it; `to` is tried first. */
export const TaskReassign = z.object({ task: MessageId, to: Name.nullable() })
export const TASK_REASSIGN = 'task-reassign'

export const TaskState = z.enum(['open', 'assigned', 'done', 'failed', 'cancelled'])
export type TaskState = z.infer<typeof TaskState>
/** The answer to every result, the first and any later: its attempt, and what the register says of the task now. */
export const TaskRecorded = z.object({ task: MessageId, attempt: Attempt, state: TaskState, doneBy: Name.nullable() })
export const TASK_RECORDED = 'task-recorded'

const Event = z.object({
  atMs: Moment,
  event: z.enum([
    'opened',
    'assigned',
    'accepted',
    'declined',
    'silent',
    'slow',
    'lost',
    'reassigned',
    'failed',
    'done',
    'given-up',
    'cancelled',
  ]),
  agent: Name.nullable(),
  attempt: z.number().int().min(0),
})
export type TaskEventName = z.infer<typeof Event>['event']

/** `task.ID` in the layer `tasks` of the one who asked. Nobody else writes it. */
export const TaskRecord = z.object({
  version: z.literal(1),
  id: MessageId,
  title: Title,
  capability: Capability,
  payload: Content,
  state: TaskState,
  assignee: Name.nullable(),
  /** Of the assignment that counts now; 0 before the first. */
  attempt: z.number().int().min(0).max(ATTEMPTS_MAX),
  /** Attempts that were declined, which count to no limit but the register's. */
  declines: z.number().int().min(0).max(ATTEMPTS_MAX),
  attemptsMax: Attempt,
  /** Looks in a row that may find nobody before it fails; null: it waits in the queue. */
  looksMax: z.number().int().min(1).nullable(),
  openedAtMs: Moment,
  deadlineAtMs: Moment.nullable(),
  /** Tried first when it is attached and able. */
  prefer: Name.nullable(),
  visited: z.array(Name).max(DELEGATIONS_MAX + 1),
  /** Whoever was ever given it, in order: a result counts from nobody else. The first has attempt 1. */
  assigned: z.array(Name).max(ATTEMPTS_MAX),
  result: Outcome.nullable(),
  doneBy: Name.nullable(),
  history: z.array(Event).max(HISTORY_MAX),
})
export type TaskRecord = z.infer<typeof TaskRecord>

/**
 * `work.N` in the layer `tasks` of a worker: what it has taken on, so that it survives its crash, and the result until
 * the one who asked has recorded it. A slot is used again afterwards.
 */
export const WorkRecord = z.object({
  version: z.literal(1),
  /** Whose task it is: two may use one id. */
  asker: Name,
  request: TaskRequest,
  state: z.enum(['running', 'delegated', 'done', 'settled']),
  outcome: Outcome.nullable(),
  takenAtMs: Moment,
})
export type WorkRecord = z.infer<typeof WorkRecord>

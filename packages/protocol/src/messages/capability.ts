import { z } from 'zod'
import { MessageId } from './message.ts'
import { Capability, Content, Moment, Outcome } from './task.ts'

/** Request and reply by capability: docs/spec/17-patterns.md §3. Nothing of it is kept on disk. */

/** Agents that one question is put to, one after the other. */
export const TRIES_MAX = 16

/** `question`: its correlation is the question's id. */
export const Question = z.object({
  question: MessageId,
  capability: Capability,
  body: Content,
  deadlineAtMs: Moment,
})
export type Question = z.infer<typeof Question>

/** `response`. Who has no room says so at once, so that the next can be asked. */
export const Answer = z.object({
  question: MessageId,
  outcome: z.union([Outcome, z.object({ declined: z.enum(['unable', 'no-room']) })]),
})
export type Answer = z.infer<typeof Answer>

export const QuestionCancelled = z.object({ question: MessageId })
export const QUESTION_CANCELLED = 'question-cancelled'

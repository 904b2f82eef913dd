import type { Message } from '@sealmesh/protocol/messages/message'
import type { Answer, Question } from '@sealmesh/protocol/messages/capability'
import type { Effect, Step } from './step.ts'

/** Answering questions: one that comes twice is worked on once, and answered the same. */

/** Answers kept for a question that comes again. The oldest go first; nothing of it outlives a crash. */
export const REMEMBERED_MAX = 512

interface Heard {
  readonly asker: string
  /** While it is worked on: what it answers. */
  readonly message?: Message
  /** Null: it is being worked on. */
  readonly outcome: Answer['outcome'] | null
}

export interface Answers {
  readonly capabilities: readonly string[]
  /** Questions at a time. */
  readonly capacity: number
  readonly heard: ReadonlyMap<string, Heard>
}

export type AnswersEvent =
  | { readonly type: 'question'; readonly asker: string; readonly question: Question; readonly message: Message }
  | { readonly type: 'finished'; readonly key: string; readonly outcome: Answer['outcome'] }
  | { readonly type: 'cancelled'; readonly asker: string; readonly question: string }

export type AnswersEffect =
  | { readonly type: 'run'; readonly key: string; readonly question: Question; readonly asker: string }
  | { readonly type: 'stop'; readonly key: string }
export type AnswersStep = Step<Answers, AnswersEffect>

export const answering = ({ heard }: Answers): number =>
  [...heard.values()].filter(({ outcome }) => outcome === null).length

export function stepAnswers(answers: Answers, event: AnswersEvent): AnswersStep {
  switch (event.type) {
    case 'question':
      return hear(answers, event)
    case 'finished': {
      const before = answers.heard.get(event.key)
      if (before === undefined || before.outcome !== null) return { next: answers, effects: [] }
      const heard = { ...before, outcome: event.outcome }
      const effects = heard.message === undefined ? [] : [answer(heard, heard.message)]
      return { next: remember(answers, event.key, heard), effects }
    }
    case 'cancelled': {
      const key = keyOf(event.asker, event.question)
      const running = answers.heard.get(key)?.outcome === null
      // Kept, because the question itself may come again, or only now.
      const next = remember(answers, key, { asker: event.asker, outcome: { ok: false, reason: 'Cancelled' } })
      return { next, effects: running ? [{ type: 'stop', key }] : [] }
    }
  }
}

function hear(answers: Answers, event: Extract<AnswersEvent, { type: 'question' }>): AnswersStep {
  const { asker, question, message } = event
  const key = keyOf(asker, question.question)
  const before = answers.heard.get(key)
  if (before?.outcome === null) return { next: answers, effects: [] }
  if (before !== undefined) return { next: answers, effects: [answer(before, message)] }
  const declined = !answers.capabilities.includes(question.capability)
    ? 'unable'
    : answering(answers) >= answers.capacity
      ? 'no-room'
      : undefined
  // Not remembered: there may be room when it is asked again.
  if (declined !== undefined) return { next: answers, effects: [answer({ asker, outcome: { declined } }, message)] }
  return {
    next: remember(answers, key, { asker, message, outcome: null }),
    effects: [{ type: 'run', key, question, asker }],
  }
}

function remember(answers: Answers, key: string, entry: Heard): Answers {
  const heard = new Map(answers.heard)
  heard.delete(key)
  heard.set(key, entry)
  for (const [oldest, { outcome }] of heard) {
    if (heard.size <= REMEMBERED_MAX) break
    if (outcome !== null) heard.delete(oldest)
  }
  return { ...answers, heard }
}

const keyOf = (asker: string, question: string): string => `${asker}.${question}`

function answer({ asker, outcome }: Heard, message: Message): Effect {
  const question = message.correlation as string
  return {
    type: 'send',
    draft: {
      to: asker,
      type: 'response',
      payload: { question, outcome },
      correlation: question,
      causedBy: message,
      // Worth nothing to whoever has stopped waiting.
      expiresMs: ANSWER_EXPIRES_MS,
    },
  }
}

const ANSWER_EXPIRES_MS = 600_000

import { agentOf } from '@sealmesh/protocol/messages/addresses'
import { Question, QuestionCancelled, QUESTION_CANCELLED } from '@sealmesh/protocol/messages/capability'
import type { Message } from '@sealmesh/protocol/messages/message'
import { answering, stepAnswers } from './core/answers.ts'
import type { Answers, AnswersEffect, AnswersEvent } from './core/answers.ts'
import type { PatternDeps } from './deps.ts'
import { Jobs } from './jobs.ts'
import { Turns } from './turns.ts'

export interface AnswererOptions {
  readonly capabilities: readonly string[]
  /** Questions at a time; whoever asks beyond that is told so at once. */
  readonly capacity: number
  /** What it gives, a JSON value, is the answer, and what it throws a failure. The signal says that nobody waits. */
  readonly handle: (question: Question & { readonly asker: string }, signal: AbortSignal) => Promise<unknown>
}

/** Answers questions of others: docs/spec/17-patterns.md §3. */
export class Answerer {
  readonly #deps: PatternDeps
  readonly #options: AnswererOptions
  readonly #turns: Turns<Answers, Exclude<AnswersEvent, { type: 'tick' }>, AnswersEffect>
  readonly #jobs = new Jobs()
  #stopListening: () => void = () => {}

  private constructor(deps: PatternDeps, options: AnswererOptions) {
    this.#deps = deps
    this.#options = options
    const { capabilities, capacity } = options
    const initial: Answers = { capabilities, capacity, heard: new Map() }
    this.#turns = new Turns(deps, {
      pattern: 'answer',
      id: 'answers',
      initial,
      step: (answers, event) => (event.type === 'tick' ? { next: answers, effects: [] } : stepAnswers(answers, event)),
      dueAtMs: () => null,
      run: (effect) => this.#run(effect),
      // The next change says it again.
      changed: (answers) => void this.#offer(answering(answers)).catch(() => {}),
    })
  }

  static async start(deps: PatternDeps, options: AnswererOptions): Promise<Answerer> {
    const answerer = new Answerer(deps, options)
    await answerer.#offer(0)
    answerer.#stopListening = deps.port.onDelivery(({ message }) => answerer.#take(message))
    return answerer
  }

  async close(): Promise<void> {
    this.#stopListening()
    await this.#turns.close()
    this.#jobs.stopAll()
  }

  async #take(message: Message): Promise<void> {
    const event = eventOf(message)
    if (event === undefined) return
    this.#deps.trace.heard(this.#deps.port.name, 'answer', message, this.#deps.nowMs())
    await this.#turns.feed(event)
  }

  #run(effect: AnswersEffect): void {
    if (effect.type === 'stop') return this.#jobs.stop(effect.key)
    const { key, question, asker } = effect
    this.#jobs.start(
      key,
      (signal) => this.#options.handle({ ...question, asker }, signal),
      (outcome) => this.#turns.feed({ type: 'finished', key, outcome }),
    )
  }

  async #offer(load: number): Promise<void> {
    const { capabilities, capacity } = this.#options
    await this.#deps.offers.set('answers', { capabilities, capacity, load })
  }
}

function eventOf(message: Message): AnswersEvent | undefined {
  const asker = agentOf(message.from)
  switch (message.type) {
    case 'question': {
      const read = Question.safeParse(message.payload)
      // The answer goes by the correlation: a question without its own is nobody's.
      if (!read.success || read.data.question !== message.correlation) return undefined
      return { type: 'question', asker, question: read.data, message }
    }
    case QUESTION_CANCELLED: {
      const read = QuestionCancelled.safeParse(message.payload)
      return read.success ? { type: 'cancelled', asker, question: read.data.question } : undefined
    }
    default:
      return undefined
  }
}

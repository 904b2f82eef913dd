import { Answer, TRIES_MAX } from '@sealmesh/protocol/messages/capability'
import type { Question } from '@sealmesh/protocol/messages/capability'
import { Failure } from '@sealmesh/protocol/errors'
import { agentOf } from '@sealmesh/protocol/messages/addresses'
import type { Message } from '@sealmesh/protocol/messages/message'
import { askDueAtMs, stepAsk } from './core/ask.ts'
import type { Ask, AskEffect, AskEnd, AskEvent } from './core/ask.ts'
import { learn } from './core/performance.ts'
import type { PerformanceBook } from './core/performance.ts'
import type { PatternDeps } from './deps.ts'
import { Turns } from './turns.ts'

/** Questions at a time, and ones that have ended whose late answers are still recognised. */
const ASKS_MAX = 256

export interface AskOptions {
  /** Milliseconds in all. */
  readonly withinMs?: number
  /** Milliseconds before the next one is asked as well. */
  readonly tryMs?: number
  readonly triesMax?: number
  readonly signal?: AbortSignal
}

const WITHIN_MS_DEFAULT = 30_000
const TRY_MS_DEFAULT = 5_000
const TRIES_DEFAULT = 3

type AskTurns = Turns<Ask, AskEvent, AskEffect>

/** Request and reply by capability: docs/spec/17-patterns.md §3. */
export class Asker {
  readonly #deps: PatternDeps
  readonly #asks = new Map<string, AskTurns>()
  readonly #stopListening: () => void
  #book: PerformanceBook = new Map()
  #open = 0

  constructor(deps: PatternDeps) {
    this.#deps = deps
    this.#stopListening = deps.port.onDelivery(({ message }) => this.#take(message))
  }

  /**
   * Asks the best one that can do it, and the next best should nothing come. Never throws for what others do: the end
   * says how it went. Throws `CORE_BUSY` when too many questions are open.
   */
  async ask(capability: string, body: Question['body'], options: AskOptions = {}): Promise<AskEnd> {
    if (this.#open >= ASKS_MAX)
      throw new Failure('CORE_BUSY', `This agent waits for ${ASKS_MAX} answers, which is as many as it may.`, {
        next: 'wait until some of them are there',
      })
    const { newId, nowMs } = this.#deps
    const question: Question = {
      question: newId(),
      capability,
      body,
      deadlineAtMs: nowMs() + (options.withinMs ?? WITHIN_MS_DEFAULT),
    }
    return new Promise((resolve) => this.#start(question, options, resolve))
  }

  async close(): Promise<void> {
    this.#stopListening()
    for (const turns of this.#asks.values()) await turns.close()
  }

  #start(question: Question, options: AskOptions, ended: (end: AskEnd) => void): void {
    const id = question.question
    const initial: Ask = {
      question,
      tryMs: options.tryMs ?? TRY_MS_DEFAULT,
      triesMax: Math.min(options.triesMax ?? TRIES_DEFAULT, TRIES_MAX),
      tries: [],
      dueAtMs: this.#deps.nowMs(),
      end: null,
    }
    const cancel = () => void turns.feed({ type: 'cancel' })
    let over = false
    const turns: AskTurns = new Turns(this.#deps, {
      pattern: 'ask',
      id,
      initial,
      step: stepAsk,
      dueAtMs: askDueAtMs,
      run: (effect) => this.#run(turns, effect),
      changed: ({ end }) => {
        if (end === null || over) return
        over = true
        this.#open--
        options.signal?.removeEventListener('abort', cancel)
        ended(end)
      },
    })
    this.#open++
    this.#asks.set(id, turns)
    this.#forgetOldest()
    if (options.signal?.aborted === true) cancel()
    else options.signal?.addEventListener('abort', cancel, { once: true })
  }

  #forgetOldest(): void {
    for (const [id, { state }] of this.#asks) {
      if (this.#asks.size <= 2 * ASKS_MAX) return
      if (state.end !== null) this.#asks.delete(id)
    }
  }

  #run(turns: AskTurns, effect: AskEffect): void {
    if (effect.type === 'performed') {
      this.#book = learn(this.#book, effect.agent, effect)
      return
    }
    // What fails here is looked for again when the core next is due.
    void this.#look(turns).catch(() => {})
  }

  async #look(turns: AskTurns): Promise<void> {
    const { port } = this.#deps
    const found = await port.agents({ capability: turns.state.question.capability })
    const given = new Map<string, number>()
    for (const { state } of this.#asks.values())
      for (const { agent, state: how } of state.end === null ? state.tries : [])
        if (how === 'waiting') given.set(agent, (given.get(agent) ?? 0) + 1)
    const views = found.filter(({ name }) => name !== port.name)
    await turns.feed({ type: 'candidates', situation: { views, book: this.#book, given } })
  }

  async #take(message: Message): Promise<void> {
    if (message.type !== 'response') return
    const read = Answer.safeParse(message.payload)
    const turns = read.success ? this.#asks.get(read.data.question) : undefined
    if (!read.success || turns === undefined) return
    this.#deps.trace.heard(this.#deps.port.name, 'ask', message, this.#deps.nowMs())
    await turns.feed({ type: 'answer', from: agentOf(message.from), outcome: read.data.outcome })
  }
}

import { Failure } from '@sealmesh/protocol/errors'
import { agentOf } from '@sealmesh/protocol/messages/addresses'
import type { Message } from '@sealmesh/protocol/messages/message'
import { Contribution, RoundRecord } from '@sealmesh/protocol/messages/round'
import { buildPayload, callRound, isRoundOver, roundDueAtMs, roundKey, stepRound } from './core/round.ts'
import type { Round, RoundEffect, RoundEvent } from './core/round.ts'
import type { PatternDeps } from './deps.ts'
import { Kept } from './kept.ts'
import type { Tasks } from './tasks.ts'
import { registerOf } from './turns.ts'
import type { Votes } from './votes.ts'

const AGAIN_MS = 1_000
const QUESTION_PROBLEM_CHARACTERS_MAX = 1_024
const TITLE_CHARACTERS_MAX = 256

export interface NewRound {
  readonly problem: string
  /** Agents by name, other than the caller. */
  readonly participants: readonly string[]
  /** What it takes to build what is decided. */
  readonly capability: string
  /** Milliseconds for each of brainstorm, critique and vote; a phase ends earlier when everybody has answered. */
  readonly phaseMs: number
  /** Calling one that is there already gives that one. */
  readonly id?: string
  readonly signal?: AbortSignal
}

export interface CalledRound {
  readonly id: string
  /** Done, undecided or cancelled. */
  readonly over: Promise<RoundRecord>
}

/** Rounds that this agent has called: brainstorm, critique, vote, build. */
export class Rounds {
  readonly #deps: PatternDeps
  readonly #votes: Votes
  readonly #tasks: Tasks
  readonly #kept: Kept<RoundRecord, Round, RoundEvent, RoundEffect>
  readonly #running = new Map<string, AbortController>()
  #stopListening: () => void = () => {}

  private constructor(deps: PatternDeps, votes: Votes, tasks: Tasks) {
    this.#deps = deps
    this.#votes = votes
    this.#tasks = tasks
    this.#kept = new Kept<RoundRecord, Round, RoundEvent, RoundEffect>(deps, {
      pattern: 'round',
      key: roundKey,
      schema: RoundRecord,
      stateOf: (record) => ({ record }),
      recordOf: ({ record }) => record,
      idOf: ({ round }) => round,
      deadlineAtMs: ({ deadlineAtMs }) => deadlineAtMs,
      isOver: isRoundOver,
      isDone: isRoundOver,
      // Nobody is told of a round's end but by its vote and its task.
      step: (round, event, world) =>
        event.type === 'told' ? { next: round, effects: [] } : stepRound(round, event, world),
      dueAtMs: roundDueAtMs,
      run: (effect, id) => this.#run(effect, id),
    })
  }

  /** Goes on with what ran when the agent ran last. Start its votes and tasks before. */
  static async start(deps: PatternDeps, parts: { readonly votes: Votes; readonly tasks: Tasks }): Promise<Rounds> {
    const rounds = new Rounds(deps, parts.votes, parts.tasks)
    await rounds.#kept.load()
    rounds.#stopListening = deps.port.onDelivery(({ message }) => rounds.#take(message))
    await rounds.#kept.resume()
    return rounds
  }

  /** Resolves when the call is durable. Throws `VALUE_INVALID` for what is no round, `CORE_BUSY` for too many. */
  async call(wanted: NewRound): Promise<CalledRound> {
    const { nowMs, newId, port } = this.#deps
    const { problem, capability, phaseMs, signal } = wanted
    const participants = [...new Set(wanted.participants)]
    const read = RoundRecord.safeParse({
      version: 1,
      round: wanted.id ?? newId(),
      problem,
      participants,
      capability,
      phaseMs,
      phase: 'brainstorm',
      deadlineAtMs: nowMs() + phaseMs,
      ideas: [],
      critiques: [],
      decision: null,
      result: null,
    })
    if (!read.success || participants.includes(port.name))
      throw new Failure('VALUE_INVALID', 'This is no round: its problem, participants or capability.', {
        next: 'name 1 to 32 participants other than the caller, and a problem of at most 2,048 characters',
      })
    const record = read.data
    return (
      (await this.#kept.find(record.round)) ?? this.#kept.add(record, callRound(record, { nowMs: nowMs() }), signal)
    )
  }

  async close(): Promise<void> {
    this.#stopListening()
    await this.#kept.close()
  }

  #run(effect: RoundEffect, id: string): void {
    if (effect.type === 'stop') {
      this.#running.get(id)?.abort()
      this.#running.delete(id)
      return
    }
    const controller = this.#running.get(id) ?? new AbortController()
    this.#running.set(id, controller)
    const { record } = effect
    const ended =
      effect.type === 'vote' ? this.#vote(record, controller.signal) : this.#build(record, controller.signal)
    void ended
      .then(async (event) => {
        if (event.type === 'built') this.#running.delete(id)
        await this.#kept.take(id, event)
      })
      .catch(() => {
        // Both can be begun again at any time: they have ids of their own.
        if (!controller.signal.aborted) this.#deps.after(AGAIN_MS, () => this.#run(effect, id))
      })
  }

  async #vote(record: RoundRecord, signal: AbortSignal): Promise<RoundEvent> {
    const { port } = this.#deps
    const { round, problem, participants, phaseMs, ideas } = record
    const where = registerOf(port.name, roundKey(round))
    const vote = await this.#votes.call({
      id: this.#part(round, 'vote'),
      question: `${problem.slice(0, QUESTION_PROBLEM_CHARACTERS_MAX).toWellFormed()} (${where})`,
      options: ideas.map(({ id }) => id),
      electorate: participants,
      withinMs: phaseMs,
      signal,
    })
    const { decision } = await vote.outcome
    return { type: 'voted', decision }
  }

  async #build(record: RoundRecord, signal: AbortSignal): Promise<RoundEvent> {
    const { round, problem, capability, ideas, decision } = record
    const author = ideas.find(({ id }) => id === decision)?.by
    const task = await this.#tasks.open({
      id: this.#part(round, 'build'),
      title: problem.slice(0, TITLE_CHARACTERS_MAX).toWellFormed(),
      capability,
      payload: buildPayload(record),
      ...(author === undefined ? {} : { prefer: author }),
      signal,
    })
    const { result } = await task.settled
    return { type: 'built', result: result ?? { ok: false, reason: 'Cancelled' } }
  }

  #part(round: string, kind: 'vote' | 'build'): string {
    const { port, trace, nowMs } = this.#deps
    const id = `${round}-${kind}`
    trace.note({ atMs: nowMs(), self: port.name, pattern: 'round', id, event: kind, partOf: round })
    return id
  }

  async #take(message: Message): Promise<void> {
    if (message.type !== 'idea' && message.type !== 'critique') return
    const read = Contribution.safeParse(message.payload)
    if (!read.success) return
    const phase = message.type === 'idea' ? 'brainstorm' : 'critique'
    const event: RoundEvent = { type: 'contribution', from: agentOf(message.from), phase, contribution: read.data }
    await this.#kept.take(read.data.round, event, message)
  }
}

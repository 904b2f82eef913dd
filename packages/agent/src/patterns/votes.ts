import { Failure } from '@sealmesh/protocol/errors'
import { agentOf } from '@sealmesh/protocol/messages/addresses'
import type { Message } from '@sealmesh/protocol/messages/message'
import { Vote, VoteRecord } from '@sealmesh/protocol/messages/vote'
import type { VoteOutcome, VoteRule } from '@sealmesh/protocol/messages/vote'
import { ballotDueAtMs, callVote, stepBallot, voteKey } from './core/ballot.ts'
import type { Ballot, BallotEvent } from './core/ballot.ts'
import type { PatternDeps } from './deps.ts'
import { Kept } from './kept.ts'

export interface NewVote {
  readonly question: string
  readonly options: readonly string[]
  /** Agents by name: one that is on two machines has one vote. */
  readonly electorate: readonly string[]
  /** Votes that are needed, abstentions among them; more than half of the electorate if not said. */
  readonly quorum?: number
  readonly rule?: VoteRule
  /** Milliseconds from now. It ends earlier when everybody has voted. */
  readonly withinMs: number
  /** Calling one that is there already gives that one. */
  readonly id?: string
  readonly signal?: AbortSignal
}

export interface CalledVote {
  readonly id: string
  readonly outcome: Promise<VoteOutcome>
}

/** Votes that this agent has called: it alone counts. */
export class Votes {
  readonly #deps: PatternDeps
  readonly #kept: Kept<VoteRecord, Ballot, BallotEvent>
  #stopListening: () => void = () => {}

  private constructor(deps: PatternDeps) {
    this.#deps = deps
    this.#kept = new Kept<VoteRecord, Ballot, BallotEvent>(deps, {
      pattern: 'vote',
      key: voteKey,
      schema: VoteRecord,
      stateOf: (record) => ({ record }),
      recordOf: ({ record }) => record,
      idOf: ({ vote }) => vote,
      deadlineAtMs: ({ deadlineAtMs }) => deadlineAtMs,
      isOver: ({ outcome }) => outcome !== null,
      isDone: ({ told }) => told,
      step: stepBallot,
      dueAtMs: ballotDueAtMs,
    })
  }

  /**
   * Goes on with votes that were open, and tells the outcome of those that had ended when the agent ran last; with
   * `only` with that one vote, and touches no other.
   */
  static async start(deps: PatternDeps, options: { readonly only?: string } = {}): Promise<Votes> {
    const votes = new Votes(deps)
    await votes.#kept.load(options.only)
    votes.#stopListening = deps.port.onDelivery(({ message }) => votes.#take(message))
    await votes.#kept.resume()
    return votes
  }

  /** Resolves when the call is durable. Throws `VALUE_INVALID` for what is no vote, `CORE_BUSY` for too many. */
  async call(wanted: NewVote): Promise<CalledVote> {
    const { nowMs, newId } = this.#deps
    const id = wanted.id ?? newId()
    const record = this.#recordOf(id, wanted)
    const { over } =
      (await this.#kept.find(id)) ?? (await this.#kept.add(record, callVote(record, { nowMs: nowMs() }), wanted.signal))
    return { id, outcome: over.then(({ outcome }) => outcome as VoteOutcome) }
  }

  async close(): Promise<void> {
    this.#stopListening()
    await this.#kept.close()
  }

  #recordOf(id: string, wanted: NewVote): VoteRecord {
    const { nowMs, port } = this.#deps
    const electorate = [...new Set(wanted.electorate)]
    const read = VoteRecord.safeParse({
      version: 1,
      vote: id,
      question: wanted.question,
      options: [...new Set(wanted.options)],
      electorate,
      quorum: wanted.quorum ?? Math.floor(electorate.length / 2) + 1,
      rule: wanted.rule ?? 'plurality',
      openedAtMs: nowMs(),
      deadlineAtMs: nowMs() + wanted.withinMs,
      votes: [],
      late: [],
      outcome: null,
      told: false,
    })
    if (!read.success || electorate.includes(port.name) || read.data.quorum > electorate.length)
      throw new Failure('VALUE_INVALID', 'This is no vote: options, voters other than the caller, or the quorum.', {
        next: 'name 1 to 32 options, 1 to 128 voters, and a quorum that they can reach',
      })
    return read.data
  }

  async #take(message: Message): Promise<void> {
    if (message.type !== 'vote') return
    const read = Vote.safeParse(message.payload)
    if (!read.success) return
    const event: BallotEvent = { type: 'vote', from: agentOf(message.from), vote: read.data, message }
    await this.#kept.take(read.data.vote, event, message)
  }
}

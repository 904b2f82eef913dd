import { Failure } from '@sealmesh/protocol/errors'
import type { Message } from '@sealmesh/protocol/messages/message'
import { Vote, VoteRecord } from '@sealmesh/protocol/messages/vote'
import type { VoteOutcome, VoteRule } from '@sealmesh/protocol/messages/vote'
import { ballotDueAtMs, callVote, stepBallot, voteKey } from './core/ballot.ts'
import type { Ballot, BallotEffect, BallotEvent } from './core/ballot.ts'
import { agentOf } from './core/step.ts'
import type { PatternDeps } from './deps.ts'
import { readRecord, readRecords } from './own-registers.ts'
import { Turns } from './turns.ts'

/** Votes of one agent that are open, or closed and still in memory; the others are read when a late vote comes. */
const HELD_MAX = 256
const TOLD_AGAIN_MS = 1_000

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

type BallotTurns = Turns<Ballot, BallotEvent, BallotEffect>
interface Held {
  readonly turns: BallotTurns
  readonly outcome: Promise<VoteOutcome>
}

/** Votes that this agent has called: it alone counts. */
export class Votes {
  readonly #deps: PatternDeps
  readonly #held = new Map<string, Held>()
  #stopListening: () => void = () => {}

  private constructor(deps: PatternDeps) {
    this.#deps = deps
  }

  /** Goes on with votes that were open, and tells the outcome of those that had ended when the agent ran last. */
  static async start(deps: PatternDeps): Promise<Votes> {
    const votes = new Votes(deps)
    for (const record of (await readRecords(deps.port, voteKey(''), VoteRecord)).values())
      if (!record.told) votes.#hold({ record })
    votes.#stopListening = deps.port.onDelivery(({ message }) => votes.#take(message))
    for (const { turns } of [...votes.#held.values()]) await turns.feed({ type: 'resumed' })
    return votes
  }

  /** Resolves when the call is durable. Throws `VALUE_INVALID` for what is no vote, `CORE_BUSY` for too many. */
  async call(wanted: NewVote): Promise<CalledVote> {
    const { nowMs, newId, port } = this.#deps
    const id = wanted.id ?? newId()
    const known = await this.#find(id)
    if (known !== undefined) return { id, outcome: known.outcome }
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
    if (this.#held.size >= HELD_MAX && !this.#forgetClosed())
      throw new Failure('CORE_BUSY', `This agent has ${HELD_MAX} votes open, which is as many as it may.`, {
        next: 'wait until some of them have ended',
      })
    const held = this.#hold({ record: read.data })
    try {
      await held.turns.enter(callVote(read.data, { nowMs: nowMs() }))
    } catch (cause) {
      this.#held.delete(id)
      await held.turns.close()
      throw cause
    }
    const cancel = () => void held.turns.feed({ type: 'cancel' }).catch(() => {})
    if (wanted.signal?.aborted === true) cancel()
    else wanted.signal?.addEventListener('abort', cancel, { once: true })
    return { id, outcome: held.outcome }
  }

  async close(): Promise<void> {
    this.#stopListening()
    for (const { turns } of this.#held.values()) await turns.close()
  }

  async #find(id: string): Promise<Held | undefined> {
    const held = this.#held.get(id)
    if (held !== undefined) return held
    const { port } = this.#deps
    const record = await readRecord(port, port.name, voteKey(id), VoteRecord)
    // Another may have read it meanwhile: two that hold it would overwrite each other's late votes.
    const since = this.#held.get(id)
    if (since !== undefined || record === undefined) return since
    this.#forgetClosed()
    return this.#hold({ record })
  }

  #hold(initial: Ballot): Held {
    const id = initial.record.vote
    let tell: (outcome: VoteOutcome) => void = () => {}
    const outcome = new Promise<VoteOutcome>((resolve) => {
      tell = resolve
    })
    const turns: BallotTurns = new Turns(this.#deps, {
      pattern: 'vote',
      id,
      initial,
      step: stepBallot,
      dueAtMs: ballotDueAtMs,
      run: () => void this.#markTold(turns),
      changed: ({ record }) => {
        if (record.outcome !== null) tell(record.outcome)
      },
    })
    if (initial.record.outcome !== null) tell(initial.record.outcome)
    const held = { turns, outcome }
    this.#held.set(id, held)
    return held
  }

  /** Until that can be written down; everybody is told once more should the agent end before. */
  async #markTold(turns: BallotTurns): Promise<void> {
    try {
      await turns.feed({ type: 'told' })
    } catch {
      this.#deps.after(TOLD_AGAIN_MS, () => void this.#markTold(turns))
    }
  }

  /** False when all that are held are open. */
  #forgetClosed(): boolean {
    for (const [id, { turns }] of this.#held) {
      if (this.#held.size < HELD_MAX) break
      if (turns.state.record.told) this.#held.delete(id)
    }
    return this.#held.size < HELD_MAX
  }

  async #take(message: Message): Promise<void> {
    if (message.type !== 'vote') return
    const read = Vote.safeParse(message.payload)
    const held = read.success ? await this.#find(read.data.vote) : undefined
    if (!read.success || held === undefined) return
    this.#deps.trace.heard(this.#deps.port.name, 'vote', message, this.#deps.nowMs())
    await held.turns.feed({ type: 'vote', from: agentOf(message.from), vote: read.data, message })
  }
}

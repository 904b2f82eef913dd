import type { AgentPort } from '../agent-port.ts'
import { Answerer } from './answerer.ts'
import type { AnswererOptions } from './answerer.ts'
import { Asker } from './asker.ts'
import { Auctions } from './auctions.ts'
import { Bidder } from './bidder.ts'
import type { BidderOptions } from './bidder.ts'
import { Contributor } from './contributor.ts'
import type { ContributorOptions } from './contributor.ts'
import type { Score } from './core/lot.ts'
import { systemDeps } from './deps.ts'
import type { PatternDeps } from './deps.ts'
import { Heartbeats } from './heartbeats.ts'
import type { HeartbeatOptions } from './heartbeats.ts'
import { Inbox } from './inbox.ts'
import { Rounds } from './rounds.ts'
import { Tasks } from './tasks.ts'
import { Voter } from './voter.ts'
import type { VoterOptions } from './voter.ts'
import { Votes } from './votes.ts'
import { Worker } from './worker.ts'
import type { WorkerOptions } from './worker.ts'

/** What this agent does for others; it can always ask, call and give tasks itself. */
export interface PatternOptions {
  readonly worker?: Omit<WorkerOptions, 'tasks'>
  readonly answerer?: AnswererOptions
  readonly voter?: VoterOptions
  readonly bidder?: BidderOptions
  readonly contributor?: ContributorOptions
  readonly heartbeats?: Omit<HeartbeatOptions, 'tasks'>
  /** Of bids, in its own auctions. */
  readonly score?: Score
  /** Instead of this machine's clock, timers and randomness. */
  readonly deps?: (port: AgentPort) => PatternDeps
}

/** All patterns of one agent, started in the order that they need, before anything is delivered to one of them. */
export class Patterns {
  readonly deps: PatternDeps
  readonly tasks: Tasks
  readonly asker: Asker
  readonly votes: Votes
  readonly auctions: Auctions
  readonly rounds: Rounds
  readonly heartbeats: Heartbeats
  readonly #inbox: Inbox
  readonly #others: readonly { close(): Promise<void> | void }[]

  private constructor(
    deps: PatternDeps,
    inbox: Inbox,
    parts: Pick<Patterns, 'tasks' | 'asker' | 'votes' | 'auctions' | 'rounds' | 'heartbeats'>,
    others: readonly { close(): Promise<void> | void }[],
  ) {
    this.deps = deps
    this.#inbox = inbox
    this.tasks = parts.tasks
    this.asker = parts.asker
    this.votes = parts.votes
    this.auctions = parts.auctions
    this.rounds = parts.rounds
    this.heartbeats = parts.heartbeats
    this.#others = others
  }

  /**
   * Goes on with all that ran when the agent ran last. One of these at a time for an agent: where the mesh may move it
   * to another machine, whoever starts this must first know that the agent may act here. Throws what the node says.
   */
  static async start(port: AgentPort, options: PatternOptions = {}): Promise<Patterns> {
    const inbox = new Inbox(port)
    const deps = (options.deps ?? systemDeps)(inbox.portOf(port))
    const tasks = await Tasks.start(deps)
    const votes = await Votes.start(deps)
    const parts = {
      tasks,
      votes,
      asker: new Asker(deps),
      auctions: await Auctions.start(deps, options.score),
      rounds: await Rounds.start(deps, { votes, tasks }),
      heartbeats: new Heartbeats(deps, { ...options.heartbeats, tasks }),
    }
    const { worker, answerer, voter, bidder, contributor } = options
    const others = [
      worker && (await Worker.start(deps, { ...worker, tasks })),
      answerer && (await Answerer.start(deps, answerer)),
      voter && new Voter(deps, voter),
      bidder && new Bidder(deps, bidder),
      contributor && new Contributor(deps, contributor),
    ].filter((part) => part !== undefined)
    inbox.open()
    return new Patterns(deps, inbox, parts, others)
  }

  /** What runs is gone on with at the next start; promises of what had not ended stay open. */
  async close(): Promise<void> {
    this.#inbox.close()
    const { rounds, auctions, votes, asker, heartbeats, tasks } = this
    for (const part of [...this.#others, rounds, auctions, votes, asker, heartbeats, tasks]) await part.close()
  }
}

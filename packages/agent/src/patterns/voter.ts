import { agentOf } from '@sealmesh/protocol/messages/addresses'
import type { Message } from '@sealmesh/protocol/messages/message'
import { VOTE_RECEIPT, VoteCall, VoteReceipt, VoteRecord, VoteResult } from '@sealmesh/protocol/messages/vote'
import type { VoteOutcome } from '@sealmesh/protocol/messages/vote'
import { voteKey } from './core/ballot.ts'
import type { PatternDeps } from './deps.ts'
import { readRecord } from './own-registers.ts'

/** Votes that it remembers, so that a call that comes again is answered the same. */
const REMEMBERED_MAX = 256
/** A late vote is shown; one of last week is of no interest. */
const VOTE_EXPIRES_MS = 86_400_000

export interface VoterOptions {
  /** One of the options, or null to abstain. What it throws is no vote. */
  readonly decide: (call: VoteCall & { readonly caller: string }) => Promise<string | null>
  readonly onOutcome?: (vote: string, caller: string, outcome: VoteOutcome) => void
}

/** Votes when it is asked to: docs/spec/17-patterns.md §4. */
export class Voter {
  readonly #deps: PatternDeps
  readonly #options: VoterOptions
  readonly #choices = new Map<string, Promise<string | null>>()
  readonly #stopListening: () => void

  constructor(deps: PatternDeps, options: VoterOptions) {
    this.#deps = deps
    this.#options = options
    this.#stopListening = deps.port.onDelivery(({ message }) => this.#take(message))
  }

  close(): void {
    this.#stopListening()
  }

  async #take(message: Message): Promise<void> {
    if (message.type === 'vote-call') await this.#vote(message)
    else if (message.type === 'vote-result') {
      const read = VoteResult.safeParse(message.payload)
      if (!read.success) return
      this.#heard(message)
      this.#options.onOutcome?.(read.data.vote, agentOf(message.from), read.data.outcome)
    } else if (message.type === VOTE_RECEIPT && VoteReceipt.safeParse(message.payload).success) this.#heard(message)
  }

  #heard(message: Message): void {
    const { port, trace, nowMs } = this.#deps
    trace.heard(port.name, 'vote', message, nowMs())
  }

  async #vote(message: Message): Promise<void> {
    const read = VoteCall.safeParse(message.payload)
    if (!read.success) return
    this.#heard(message)
    const caller = agentOf(message.from)
    const key = `${caller}.${read.data.vote}`
    const deciding = this.#choices.get(key) ?? this.#options.decide({ ...read.data, caller })
    this.#choices.delete(key)
    this.#choices.set(key, deciding)
    for (const oldest of this.#choices.keys()) {
      if (this.#choices.size <= REMEMBERED_MAX) break
      this.#choices.delete(oldest)
    }
    const { vote } = read.data
    const choice = await deciding
    const payload = { vote, choice }
    await this.#deps.port.send({
      to: caller,
      type: 'vote',
      payload,
      correlation: vote,
      causedBy: message,
      durable: true,
      expiresMs: VOTE_EXPIRES_MS,
    })
  }
}

/** A vote as its caller keeps it, for whoever may read it; undefined where there is none. */
export const voteOf = (deps: PatternDeps, caller: string, id: string): Promise<VoteRecord | undefined> =>
  readRecord(deps.port, caller, voteKey(id), VoteRecord)

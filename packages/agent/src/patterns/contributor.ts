import { agentOf } from '@sealmesh/protocol/messages/addresses'
import type { Message } from '@sealmesh/protocol/messages/message'
import { RoundInvite } from '@sealmesh/protocol/messages/round'
import type { Contribution } from '@sealmesh/protocol/messages/round'
import type { PatternDeps } from './deps.ts'

/** Invitations that it remembers, so that one that comes again is answered the same. */
const REMEMBERED_MAX = 256

export type Invitation = RoundInvite & { readonly caller: string }

export interface ContributorOptions {
  /** An idea; null for none. */
  readonly brainstorm: (invitation: Invitation) => Promise<string | null>
  /** What it thinks of the ideas, or of the one that `about` names; null for nothing. */
  readonly critique: (invitation: Invitation) => Promise<Pick<Contribution, 'text' | 'about'> | null>
}

/** Takes part in others' rounds: docs/spec/17-patterns.md §6. Votes and tasks of it come as any others do. */
export class Contributor {
  readonly #deps: PatternDeps
  readonly #options: ContributorOptions
  readonly #said = new Map<string, Promise<Pick<Contribution, 'text' | 'about'> | null>>()
  readonly #stopListening: () => void

  constructor(deps: PatternDeps, options: ContributorOptions) {
    this.#deps = deps
    this.#options = options
    this.#stopListening = deps.port.onDelivery(({ message }) => this.#take(message))
  }

  close(): void {
    this.#stopListening()
  }

  async #take(message: Message): Promise<void> {
    if (message.type !== 'invite') return
    const read = RoundInvite.safeParse(message.payload)
    if (!read.success) return
    const { port, trace, nowMs } = this.#deps
    trace.heard(port.name, 'round', message, nowMs())
    const caller = agentOf(message.from)
    const { round, phase, deadlineAtMs } = read.data
    const key = `${caller}.${round}.${phase}`
    const saying = this.#said.get(key) ?? this.#say({ ...read.data, caller })
    this.#said.delete(key)
    this.#said.set(key, saying)
    for (const oldest of this.#said.keys()) {
      if (this.#said.size <= REMEMBERED_MAX) break
      this.#said.delete(oldest)
    }
    const said = await saying
    if (said === null) return
    await port.send({
      to: caller,
      type: phase === 'brainstorm' ? 'idea' : 'critique',
      payload: { round, ...said },
      correlation: round,
      causedBy: message,
      durable: true,
      // Its own clock may be wrong: the caller decides what comes in time.
      expiresMs: Math.max(MIN_LIFE_MS, deadlineAtMs - nowMs()),
    })
  }

  async #say(invitation: Invitation): Promise<Pick<Contribution, 'text' | 'about'> | null> {
    if (invitation.phase === 'critique') return this.#options.critique(invitation)
    const text = await this.#options.brainstorm(invitation)
    return text === null ? null : { text, about: null }
  }
}

const MIN_LIFE_MS = 60_000

import type { Agent } from '@sealmesh/agent/client/agent'
import { Patterns } from '@sealmesh/agent/patterns/patterns'
import { Failure } from '@sealmesh/protocol/errors'
import { setTimeout as pause } from 'node:timers/promises'
import type { Ledger } from './ledger.ts'

export interface MemberOptions {
  readonly agent: Agent
  /** On the same machine. */
  readonly neighbour: string
  /** On the other machine; each lets the other write to it. */
  readonly partner: string
  readonly topic: string
  readonly ledger: Ledger
  readonly now: () => number
}

const TYPE = 'text'
/** Of ten messages: two durable, one of these to the other machine, one more there, one to a topic, six next door. */
const ROUND = ['durable', 'durable-across', 'across', 'topic', ...Array.from({ length: 6 }, () => 'direct')]
const FILLER = 'x'.repeat(200)

/** One agent of the run: writes to others, takes what comes, does tasks, answers questions, votes. */
export class Member {
  readonly name: string
  readonly patterns: Patterns
  readonly #options: MemberOptions
  /** How often each task was done here. */
  readonly done: Map<string, number>
  #count = 0

  private constructor(options: MemberOptions, patterns: Patterns, done: Map<string, number>) {
    this.#options = options
    this.name = options.agent.name
    this.patterns = patterns
    this.done = done
  }

  static async start(options: MemberOptions): Promise<Member> {
    const { agent, ledger, topic, now } = options
    agent.onDelivery(({ message }) => {
      if (message.type === TYPE) ledger.handled(agent.name, message.id, now())
    })
    const done = new Map<string, number>()
    const patterns = await Patterns.start(agent, {
      worker: {
        capabilities: ['square'],
        capacity: 4,
        handle: async ({ task, payload }) => {
          done.set(task, (done.get(task) ?? 0) + 1)
          await pause(20)
          return Number(payload) ** 2
        },
      },
      answerer: { capabilities: ['length'], capacity: 8, handle: async ({ body }) => String(body).length },
      voter: { decide: async ({ options: [first] }) => first ?? null },
    })
    await agent.join(topic)
    return new Member(options, patterns, done)
  }

  /** Until the signal; waits for each answer, so a node that is away is waited for. */
  async write(everyMs: number, signal: AbortSignal): Promise<void> {
    await pause(Math.random() * everyMs)
    while (!signal.aborted) {
      const startedMs = performance.now()
      await this.#writeOne()
      await pause(Math.max(0, everyMs - (performance.now() - startedMs)))
    }
  }

  async #writeOne(): Promise<void> {
    const { agent, neighbour, partner, topic, ledger, now } = this.#options
    const kind = ROUND[this.#count % ROUND.length] ?? 'direct'
    const id = `${this.name}-${this.#count++}`
    const durable = kind.startsWith('durable')
    const one = kind.endsWith('across') ? partner : neighbour
    const to = kind === 'topic' ? `#${topic}` : one
    try {
      const { delivered, waiting } = await agent.send({ to, type: TYPE, id, payload: FILLER, durable })
      const accepted = durable && delivered + waiting > 0
      ledger.answered(kind, id, accepted ? one : undefined, now())
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      ledger.refused(error.code)
    }
  }
}

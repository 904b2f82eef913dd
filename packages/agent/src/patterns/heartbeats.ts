import { agentOf } from '@sealmesh/protocol/messages/addresses'
import type { AgentView } from '@sealmesh/protocol/messages/profile'
import { healthDueAtMs, healthOf, stepHealth } from './core/health.ts'
import type { Health, HealthEffect, HealthEvent, Healths } from './core/health.ts'
import type { PatternDeps } from './deps.ts'
import type { Tasks } from './tasks.ts'
import { Turns } from './turns.ts'

const EVERY_MS = 5_000
/** Three beats that did not come, and six: one that is lost on its way is nothing. */
const SUSPECT_MS = 15_000
const LOST_MS = 30_000

export interface HeartbeatOptions {
  readonly everyMs?: number
  readonly suspectMs?: number
  readonly lostMs?: number
  readonly onChange?: (agent: string, health: Health) => void
  /** The open tasks of a lost agent are given to others, or wait in the queue. */
  readonly tasks?: Tasks
}

/** Lets this agent be heard, and says who is not: docs/spec/17-patterns.md §7. It decides nothing else. */
export class Heartbeats {
  readonly #deps: PatternDeps
  readonly #options: HeartbeatOptions
  readonly #turns: Turns<Healths, HealthEvent, HealthEffect>
  readonly #stopListening: () => void

  constructor(deps: PatternDeps, options: HeartbeatOptions = {}) {
    this.#deps = deps
    this.#options = options
    const everyMs = options.everyMs ?? EVERY_MS
    this.#turns = new Turns<Healths, HealthEvent, HealthEffect>(deps, {
      pattern: 'health',
      id: 'health',
      initial: {
        everyMs,
        suspectMs: options.suspectMs ?? SUSPECT_MS,
        lostMs: options.lostMs ?? LOST_MS,
        watched: new Map(),
        lookedAtMs: deps.nowMs() - everyMs,
        toldAtMs: deps.nowMs(),
      },
      step: stepHealth,
      dueAtMs: healthDueAtMs,
      run: (effect) => this.#run(effect),
    })
    this.#stopListening = deps.port.onDelivery(({ message }) =>
      this.#turns.feed({ type: 'heard', agent: agentOf(message.from) }),
    )
  }

  /** `well` also of one that nothing is known of. */
  of(agent: string): Health {
    return healthOf(this.#turns.state, agent)
  }

  async close(): Promise<void> {
    this.#stopListening()
    await this.#turns.close()
  }

  #run(effect: HealthEffect): void {
    if (effect.type === 'changed') this.#options.onChange?.(effect.agent, effect.health)
    // What fails is done again at the next beat.
    else void this.#look().catch(() => {})
  }

  async #look(): Promise<void> {
    const { port } = this.#deps
    await port.describe({})
    const views = (await port.agents()).filter(({ name }) => name !== port.name)
    const heardAtMs = ({ heardAt }: AgentView): number | null => (heardAt === null ? null : Date.parse(heardAt))
    const seen = views.map((view) => ({ ...view, heardAtMs: heardAtMs(view) }))
    await this.#turns.feed({ type: 'registry', views: seen })
    const { tasks } = this.#options
    if (tasks === undefined) return
    const busy = new Set(tasks.list().flatMap(({ assignee }) => (assignee === null ? [] : [assignee])))
    await this.#turns.feed({ type: 'expected', agents: [...busy] })
    // Each time, and not only when one becomes lost: a task may have been given to it since, or not been moved then.
    for (const agent of busy) if (this.of(agent) === 'lost') await tasks.lost(agent)
  }
}

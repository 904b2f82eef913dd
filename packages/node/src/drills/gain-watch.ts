import { setTimeout as pause } from 'node:timers/promises'
import type { Gained, TermFact } from '@sealmesh/protocol/drills/facts'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Movers } from './movers.ts'

const LOOK_MS = 2

export interface GainDeps {
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly movers: Movers
  readonly monotonicMs: () => number
  readonly ending: AbortSignal
}

/** When what was seen first, on this node's monotonic clock. */
export interface Gain {
  readonly term: TermFact
  /** The old holder's lease was over; null: it was not waited for. */
  readonly ripeAtMs: number | null
  readonly inLogAtMs: number
  readonly listedAtMs: number
  readonly caughtUpAtMs: number
  readonly mayAtMs: number
  readonly firstActMs: number
}

/** Watches this node gain the agent in a term above that one, and acts once. Undefined when it does not, in time. */
export class GainWatch {
  readonly done: Promise<Gain | undefined>
  #stopped = false

  constructor(deps: GainDeps, agent: AgentId, from: TermFact & { readonly holder: NodeId }, withinMs: number) {
    this.done = this.#watch(deps, agent, from, withinMs)
    this.done.catch(() => undefined)
  }

  stop(): void {
    this.#stopped = true
  }

  async #watch(
    { node, mesh, movers, monotonicMs, ending }: GainDeps,
    agentId: AgentId,
    from: TermFact & { readonly holder: NodeId },
    withinMs: number,
  ): Promise<Gain | undefined> {
    const endMs = monotonicMs() + withinMs
    let ripeAtMs: number | null = null
    let inLogAtMs: number | null = null
    let listedAtMs: number | null = null
    let caughtUpAtMs: number | null = null
    for (;;) {
      const nowMs = monotonicMs()
      if (this.#stopped || ending.aborted || nowMs >= endMs) return undefined
      const agent = mesh().agents.get(agentId)
      const term = agent?.term ?? null
      if (agent !== undefined && inLogAtMs === null && movers.isRipe(agent, from.holder)) ripeAtMs ??= nowMs
      if (agent !== undefined && term !== null && term.holder === node && term.number > from.number) {
        inLogAtMs ??= nowMs
        if (movers.isListed(agent)) listedAtMs ??= nowMs
        if (movers.isCaughtUp(agent, term.record)) caughtUpAtMs ??= nowMs
        if (movers.fence(agentId) === null) {
          await movers.grantAct(agentId)
          listedAtMs ??= nowMs
          return {
            term: { number: term.number, record: term.record },
            ripeAtMs,
            inLogAtMs,
            listedAtMs,
            caughtUpAtMs: Math.max(caughtUpAtMs ?? nowMs, listedAtMs),
            mayAtMs: nowMs,
            firstActMs: Math.round(monotonicMs() - nowMs),
          }
        }
      }
      await pause(LOOK_MS)
    }
  }
}

/** From the log's word to the first act. */
export const gainedOf = ({ inLogAtMs, caughtUpAtMs, mayAtMs, firstActMs }: Gain): Gained => ({
  catchUpMs: Math.round(caughtUpAtMs - inLogAtMs),
  activateMs: Math.round(mayAtMs - caughtUpAtMs),
  firstActMs,
})

export interface Given {
  readonly term: TermFact
  readonly freezeMs: number
  /** Null where no register says when. */
  readonly drainMs: number | null
  readonly acquireMs: number
}

/** Hands it over as a person would, and says how long what took. Throws HANDOVER_FAILED. */
export async function giveAway({ movers, monotonicMs }: GainDeps, agent: AgentId, to: NodeId): Promise<Given> {
  const startedMs = monotonicMs()
  const giving = movers.handover(agent, to) // It freezes in this turn.
  const frozenMs = monotonicMs()
  let handedMs: number | null = null
  let isOver = false
  const looking = (async () => {
    while (!isOver && handedMs === null) {
      if (movers.isHanded(agent)) handedMs = monotonicMs()
      await pause(LOOK_MS)
    }
  })()
  try {
    const { number, record } = await giving
    const endedMs = monotonicMs()
    return {
      term: { number, record },
      freezeMs: Math.round(frozenMs - startedMs),
      drainMs: handedMs === null ? null : Math.round(handedMs - frozenMs),
      acquireMs: Math.round(endedMs - (handedMs ?? frozenMs)),
    }
  } finally {
    isOver = true
    await looking
  }
}

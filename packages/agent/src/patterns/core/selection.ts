import type { AgentView } from '@sealmesh/protocol/messages/profile'
import type { PerformanceBook } from './performance.ts'

/** What counts when one of several able agents is chosen; each part of the cost is between 0 and 1. */
export interface Weights {
  readonly load: number
  readonly distance: number
  readonly latency: number
  readonly failures: number
}

/** Failures weigh most: a quick agent that fails is no help. */
export const WEIGHTS: Weights = { load: 1, distance: 0.25, latency: 0.5, failures: 2 }
/** For what a lost agent leaves behind: it goes where most room is. */
export const LOAD_ALONE: Weights = { load: 1, distance: 0, latency: 0, failures: 0 }

/** The latency that costs half of what the worst one does. */
const LATENCY_HALF_MS = 2_000

export interface Situation {
  readonly views: readonly AgentView[]
  readonly book: PerformanceBook
  /** What this agent has given each and not got back: the registry learns of it later than it does. */
  readonly given: ReadonlyMap<string, number>
}

/** Agents that can do it and have room, best first; equal ones by name, so that the order is the same everywhere. */
export function ranked(
  capability: string,
  situation: Situation,
  excluded: ReadonlySet<string>,
  weights: Weights = WEIGHTS,
): string[] {
  const costs = new Map<string, number>()
  for (const view of situation.views) {
    if (excluded.has(view.name) || !isAble(view, capability)) continue
    const load = Math.max(view.load, situation.given.get(view.name) ?? 0)
    if (load >= view.capacity) continue
    const cost = costOf(view, load, situation, weights)
    // One agent on two machines is as good as its better place.
    costs.set(view.name, Math.min(cost, costs.get(view.name) ?? Number.POSITIVE_INFINITY))
  }
  return [...costs].sort(([a, left], [b, right]) => left - right || (a < b ? -1 : 1)).map(([name]) => name)
}

export const isAble = (view: AgentView, capability: string): boolean =>
  view.state === 'attached' && view.status !== 'away' && view.capabilities.includes(capability)

function costOf(view: AgentView, load: number, { book }: Situation, weights: Weights): number {
  const past = book.get(view.name)
  const latency = past === undefined ? 0 : past.latencyMs / (past.latencyMs + LATENCY_HALF_MS)
  return (
    weights.load * (load / view.capacity) +
    weights.distance * (view.here ? 0 : 1) +
    weights.latency * latency +
    weights.failures * (past?.failures ?? 0)
  )
}

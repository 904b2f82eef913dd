import type { AgentView } from '@sealmesh/protocol/messages/profile'
import type { Effect, Step, World } from './step.ts'

/**
 * Who has been silent for how long: docs/spec/17-patterns.md §7. It only says so. Nobody is promoted, removed or told
 * anything because of it: who acts for an agent is decided by terms, and whoever is called lost may be at work.
 */

/** Agents that are watched; of more than these nothing is said. */
export const WATCHED_MAX = 1_024
/** The same moment, told by two clocks of one machine at different times, is never quite the same. */
const CLOCKS_APART_MS = 1_000
/** Of an agent that is lost for so long nothing more is kept. */
const FORGET_MS = 86_400_000

export type Health = 'well' | 'suspect' | 'lost'

interface Watched {
  readonly health: Health
  readonly heardAtMs: number
  /** When the registry heard of it last, on a wall whose clock may be set: only that it changes says something. */
  readonly seenMs: number | null
}

export interface Healths {
  readonly suspectMs: number
  readonly lostMs: number
  readonly everyMs: number
  readonly watched: ReadonlyMap<string, Watched>
  readonly lookedAtMs: number
  /** When the registry answered last. */
  readonly toldAtMs: number
}

/** What the registry says of an agent, and when it heard of it last. */
export interface Seen extends Pick<AgentView, 'name' | 'state' | 'here'> {
  readonly heardAtMs: number | null
}

export type HealthEvent =
  | { readonly type: 'tick' }
  /** A message of that agent came. */
  | { readonly type: 'heard'; readonly agent: string }
  /** Something is to come from it, whether or not it was ever heard. */
  | { readonly type: 'expected'; readonly agents: readonly string[] }
  | { readonly type: 'registry'; readonly views: readonly Seen[] }

export type HealthEffect =
  /** Answer with `registry`, and let this agent be heard itself. */
  { readonly type: 'look' } | { readonly type: 'changed'; readonly agent: string; readonly health: Health }
export type HealthStep = Step<Healths, HealthEffect>

export const healthDueAtMs = ({ lookedAtMs, everyMs }: Healths): number => lookedAtMs + everyMs

export const healthOf = ({ watched }: Healths, agent: string): Health => watched.get(agent)?.health ?? 'well'

export function stepHealth(healths: Healths, event: HealthEvent, { nowMs }: World): HealthStep {
  switch (event.type) {
    case 'tick':
      if (nowMs < healthDueAtMs(healths)) return { next: healths, effects: [] }
      return { next: { ...healths, lookedAtMs: nowMs }, effects: [{ type: 'look' }] }
    case 'heard': {
      const before = healths.watched.get(event.agent)
      // Of a thousand messages in a second one is enough.
      const lately = before?.health === 'well' && nowMs - before.heardAtMs < healths.everyMs / 2
      return lately ? { next: healths, effects: [] } : hear(healths, [event.agent], nowMs)
    }
    case 'expected': {
      const unknown = event.agents.filter((agent) => !healths.watched.has(agent))
      return hear(healths, unknown, nowMs)
    }
    case 'registry': {
      const fresh = event.views.filter((view) => isSign(view, healths.watched.get(view.name)))
      const { next, effects } = hear(
        awake(healths, nowMs),
        fresh.map(({ name }) => name),
        nowMs,
      )
      const watched = new Map(next.watched)
      for (const { name, heardAtMs } of fresh) {
        const entry = watched.get(name)
        if (entry !== undefined) watched.set(name, { ...entry, seenMs: heardAtMs })
      }
      // Only now: what came since the beat before is not known until the registry has said it.
      const judged = judge({ ...next, watched }, nowMs)
      return { next: judged.next, effects: [...effects, ...judged.effects] }
    }
  }
}

/** That it is attached on this machine is known without a heartbeat. */
const isSign = (view: Seen, before: Watched | undefined): boolean =>
  view.state === 'attached' && (view.here || before === undefined || isAnother(view.heardAtMs, before.seenMs))

const isAnother = (heardAtMs: number | null, seenMs: number | null): boolean =>
  heardAtMs !== null && (seenMs === null || Math.abs(heardAtMs - seenMs) > CLOCKS_APART_MS)

function hear(healths: Healths, agents: readonly string[], nowMs: number): HealthStep {
  const watched = new Map(healths.watched)
  const effects: (Effect | HealthEffect)[] = []
  for (const agent of agents) {
    const before = watched.get(agent)
    if (before === undefined && watched.size >= WATCHED_MAX) continue
    watched.set(agent, { health: 'well', heardAtMs: nowMs, seenMs: before?.seenMs ?? null })
    if (before !== undefined && before.health !== 'well') effects.push(...changed(agent, 'well'))
  }
  return { next: { ...healths, watched }, effects }
}

/**
 * A machine that slept, or whose node was away, heard nothing, which says nothing of others: the time that it missed is
 * given to them.
 */
function awake(healths: Healths, nowMs: number): Healths {
  const lateMs = nowMs - healths.toldAtMs - healths.everyMs
  if (lateMs <= healths.everyMs) return { ...healths, toldAtMs: nowMs }
  const watched = new Map(
    [...healths.watched].map(([agent, entry]) => {
      const heardAtMs = Math.min(nowMs, entry.heardAtMs + lateMs)
      return [agent, { ...entry, heardAtMs }]
    }),
  )
  return { ...healths, watched, toldAtMs: nowMs }
}

function judge(healths: Healths, nowMs: number): HealthStep {
  const watched = new Map(healths.watched)
  const effects: (Effect | HealthEffect)[] = []
  for (const [agent, entry] of watched) {
    const silentMs = nowMs - entry.heardAtMs
    if (silentMs >= FORGET_MS) {
      watched.delete(agent)
      continue
    }
    const health = silentMs >= healths.lostMs ? 'lost' : silentMs >= healths.suspectMs ? 'suspect' : 'well'
    if (health === entry.health) continue
    watched.set(agent, { ...entry, health })
    effects.push(...changed(agent, health))
  }
  return { next: { ...healths, watched }, effects }
}

const changed = (agent: string, health: Health): (Effect | HealthEffect)[] => [
  { type: 'note', event: health, agent },
  { type: 'changed', agent, health },
]

import type { Document } from '@sealmesh/protocol/crdt/document'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { Profile } from '@sealmesh/protocol/messages/profile'
import { z } from 'zod'

/**
 * What a machine tells the others of the agents that are attached to it (docs/spec/16-agents.md §2.1): the layer `roster`
 * of its founding agent, one register for each agent, by its id, and one that says until when all of them hold.
 */

export const ROSTER_LAYER = 'roster'
export const HOLDS_KEY = 'holds'
/** Of one machine: more are neither told nor read. One is at most some 3 KB. */
export const TOLD_AGENTS_MAX = 256

const Told = z.object({ version: z.literal(1), since: z.int().nonnegative(), profile: Profile })
const Holds = z.object({ version: z.literal(1), until: z.int().nonnegative() })

export interface ToldAgent {
  readonly profile: Profile
  /** By the clock of its machine. */
  readonly sinceMs: number
  /** When it was written, by the same clock. */
  readonly toldAtMs: number
}

export interface ToldMachine {
  /** By the clock of that machine. */
  readonly untilMs: number
  readonly agents: ReadonlyMap<AgentId, ToldAgent>
}

export const toldText = ({ profile, sinceMs }: Omit<ToldAgent, 'toldAtMs'>): string =>
  JSON.stringify({ version: 1, since: sinceMs, profile } satisfies z.infer<typeof Told>)

export const holdsText = (untilMs: number): string =>
  JSON.stringify({ version: 1, until: untilMs } satisfies z.infer<typeof Holds>)

/** What that machine itself wrote there: whoever else may write to the layer speaks for nobody. */
export function toldBy(machine: NodeId, document: Pick<Document, 'keys' | 'read'>): ToldMachine {
  const agents = new Map<AgentId, ToldAgent>()
  let untilMs = 0
  for (const key of document.keys()) {
    const entry = document.read(key)
    if (entry?.value === undefined || entry.author !== machine) continue
    const value = jsonIn(entry.value)
    if (key === HOLDS_KEY) untilMs = Holds.safeParse(value).data?.until ?? 0
    const told = Told.safeParse(value).data
    if (told === undefined || agents.size >= TOLD_AGENTS_MAX) continue
    agents.set(key as AgentId, { profile: told.profile, sinceMs: told.since, toldAtMs: entry.time.wallMs })
  }
  return { untilMs, agents }
}

/** Clocks of two machines may differ so much, and what is told by a machine that is heard is believed. */
const CLOCKS_APART_MS = 3_600_000

/** What is true of a machine's word at this moment; undefined when it holds no more. */
export function standingOf(untilMs: number, isHeard: boolean, nowMs: number): 'attached' | 'unreachable' | undefined {
  if (nowMs >= untilMs + (isHeard ? CLOCKS_APART_MS : 0)) return undefined
  return isHeard ? 'attached' : 'unreachable'
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

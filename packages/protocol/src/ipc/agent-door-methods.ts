import { z } from 'zod'
import { AgentView } from '../messages/profile.ts'
import { Right } from './agent-methods.ts'
import { Iso, Name, Nothing } from './shapes.ts'

/** What the owner may do with the agents' door (docs/spec/16-agents.md §1). */
export const agentDoorMethods = {
  /** `make` where there is none; `rotate` ends the old one and whoever is attached by it; `revoke` ends it for good. */
  'agents.token': {
    params: z.object({
      name: Name,
      action: z.enum(['make', 'rotate', 'revoke']).default('make'),
      rights: z.array(Right).max(8).optional(),
    }),
    /** The token is told here, once, and kept nowhere. */
    result: z.object({ name: Name, token: z.string().nullable(), rights: z.array(Right) }),
  },
  'agents.tokens': {
    params: Nothing,
    result: z.object({
      tokens: z.array(
        z.object({ name: Name, agent: z.string(), rights: z.array(Right), madeAt: Iso, attached: z.boolean() }),
      ),
    }),
  },
  'agents.here': { params: Nothing, result: z.object({ agents: z.array(AgentView) }) },
  /** Starts `agent` notifications on this connection: who comes, changes and goes. */
  'agents.watch': { params: Nothing, result: z.object({ agents: z.array(AgentView) }) },
} as const

export const AgentNews = z.object({ event: z.enum(['arrived', 'changed', 'left']), agent: AgentView })

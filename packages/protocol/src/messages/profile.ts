import { z } from 'zod'
import { isName, NAME_PATTERN } from '../ids.ts'
import { Iso, Name } from '../ipc/shapes.ts'

/** How agents find one another: docs/spec/16-agents.md §2. */

export const CAPABILITIES_MAX = 32
const Capability = z
  .string()
  .refine(isName, 'A capability is lower case, digits, - and _')
  .meta({ pattern: `^${NAME_PATTERN}$` })

const fields = {
  /** `researcher`, `writer`, …: free. */
  role: z.string().max(64),
  capabilities: z.array(Capability).max(CAPABILITIES_MAX),
  /** One line on how it talks and thinks. */
  persona: z.string().max(256),
  kind: z.enum(['llm', 'service', 'script', 'person']),
  /** Work that it has now and work that it can have at once; any unit, the same in both. */
  load: z.number().min(0).max(1_000_000),
  capacity: z.number().min(0).max(1_000_000),
  status: z.enum(['active', 'busy', 'away']),
}

/** What an agent says of itself. */
export const Profile = z.object({
  role: fields.role.default(''),
  capabilities: fields.capabilities.default([]),
  persona: fields.persona.default(''),
  kind: fields.kind.default('service'),
  load: fields.load.default(0),
  capacity: fields.capacity.default(1),
  status: fields.status.default('active'),
})
export type Profile = z.infer<typeof Profile>

/** What has changed of it. Made of the bare fields: a default would take back what the agent had said before. */
export const ProfileChange = z.object(fields).partial()

/** An agent as others see it. `state`: `attached` here or at its machine; `away`: nobody is attached under the name. */
export const AgentView = Profile.extend({
  name: Name,
  agent: z.string(),
  /** The machine where it is attached, or that holds it. */
  nodeName: z.string(),
  here: z.boolean(),
  state: z.enum(['attached', 'away', 'unreachable']),
  /** Of its process, when it is attached here and said so. */
  pid: z.number().int().nullable(),
  /** When it attached or left, and when it was last heard. */
  since: Iso,
  heardAt: Iso.nullable(),
})
export type AgentView = z.infer<typeof AgentView>

import { z } from 'zod'
import { LEVELS } from '../failover/levels.ts'
import { DURABILITIES } from '../membership/record.ts'
import { Iso } from './shapes.ts'

/** How far a write is to have come before it is answered, and how far it came (docs/spec/06-local-socket.md §13). */

export const LevelName = z.enum(LEVELS)

/** For parameters of what writes. Without `wait` the answer comes when the write is durable here. */
export const Waiting = {
  wait: LevelName.optional(),
  /** A minute when it is not said. */
  timeoutMs: z.number().int().min(0).max(86_400_000).optional(),
}
export interface Waiting {
  readonly wait?: z.infer<typeof LevelName> | undefined
  readonly timeoutMs?: number | undefined
}

export const Acknowledgement = z.object({
  /** Whether what was asked for has come, as far as the agent's durability asks for it. */
  done: z.boolean(),
  /** What is true: less than was asked for where an available agent goes on with this disk alone. */
  level: LevelName,
  /** Disks that are known to have it, this one among them. */
  copies: z.number().int(),
  /** Machines whose word it needs beside this one. */
  members: z.array(z.string()),
  /** Those that have not confirmed it. `relay`: it lies there for them. */
  missing: z.array(z.object({ machine: z.string(), relay: z.boolean() })),
  /** Standbys that have left the agent's sync set, where nobody is left in it. */
  left: z.array(z.string()),
  /** Why it is not done, in words, and the next step; null when it is. */
  reason: z.string().nullable(),
  next: z.string().nullable(),
  /** It will not come by waiting. */
  unreachable: z.boolean(),
  waitedMs: z.number().int(),
})
export type Acknowledgement = z.infer<typeof Acknowledgement>

/** How safe what this machine wrote for an agent is now. */
export const DurabilityStatus = z.object({
  policy: z.enum(DURABILITIES),
  /** Whose receipts acknowledgements wait for; null until the holder has named them. */
  syncSet: z.array(z.string()).nullable(),
  /** Who was in it, in this term, and since when it is not. */
  left: z.array(z.object({ node: z.string(), at: Iso })),
  /** What all of it has reached; null where this machine has written nothing, or no sync set is named. */
  level: LevelName.nullable(),
  /** Disks that are known to have it. */
  copies: z.number().int().nullable(),
  /** What `replicated` stands for at this moment. */
  means: z.string(),
})

/** For results: there when a level was asked for. */
export const Acknowledging = { acknowledged: Acknowledgement.optional() }

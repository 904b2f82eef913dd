import { z } from 'zod'
import { Iso, Name } from './shapes.ts'

/** What has been kept back, signed twice, copied or put back (docs/spec/06-local-socket.md §8). */
export const Finding = z.object({
  type: z.enum(['withheld', 'forked', 'cloned', 'rolled-back']),
  since: Iso,
  last: Iso,
  /** The machine that it is about; null: this one. */
  nodeName: z.string().nullable(),
  agent: Name.nullable(),
  layer: z.string().nullable(),
  /** In words. */
  what: z.string(),
  /** Blocks and packets that speak for it. */
  evidence: z.array(z.string()),
  /** Of a fork: the blocks themselves, base64, each with its author's signature. Long ones are left out. */
  proof: z.array(z.string()),
})
export type Finding = z.infer<typeof Finding>

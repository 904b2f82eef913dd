import { z } from 'zod'
import { Iso } from './shapes.ts'

/** Packets that were delivered here and not used. */
export const quarantineMethods = {
  'quarantine.ls': {
    params: z.object({}),
    result: z.object({
      /** The latest of each code, the latest first. */
      packets: z.array(
        z.object({
          /** The first half of the BLAKE2b-256 of its bytes. */
          packet: z.string(),
          code: z.string(),
          means: z.string(),
          /** A node's name, or the beginning of its id. */
          sender: z.string().nullable(),
          /** Whether that node has signed it; else the name is only what the packet says. */
          senderProven: z.boolean(),
          bytes: z.number().int(),
          firstAt: Iso,
          lastAt: Iso,
          times: z.number().int(),
        }),
      ),
      /** Of all that was ever not used on this home. */
      counts: z.array(z.object({ code: z.string(), packets: z.number().int() })),
      keptPerCode: z.number().int(),
    }),
  },
} as const

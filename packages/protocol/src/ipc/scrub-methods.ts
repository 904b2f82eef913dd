import { z } from 'zod'
import { Iso, Name, Nothing } from './shapes.ts'

/** What lies on the disk of this home, compared with its checks. */

/** Something about this home as a whole, with what speaks for it. */
const HomeFact = z.object({ since: Iso, last: Iso, evidence: z.array(z.string()) }).nullable()

const ScrubState = z.object({
  running: z.boolean(),
  /** By itself, over a day; else at full speed. */
  slow: z.boolean(),
  startedAt: Iso.nullable(),
  finishedAt: Iso.nullable(),
  bytes: z.number().int(),
  bytesExpected: z.number().int().nullable(),
  findings: z.array(z.object({ what: z.string(), state: z.enum(['mended', 'asked', 'lost']) })),
  /** Documents that are refused until they are whole again. */
  damaged: z.array(
    z.object({
      document: z.string(),
      agent: Name.nullable(),
      layer: z.string().nullable(),
      missing: z.array(z.object({ incarnation: z.string(), from: z.number().int(), to: z.number().int() })),
      /** `lost`: every other reader has said that it lacks it too, or there is none. */
      state: z.enum(['asked', 'lost']),
      waitingFor: z.array(z.string()),
    }),
  ),
  /** This home holds less than it once did, and what it wrote is being learnt again. */
  rolledBack: HomeFact,
  /** Another process uses the keys of this home. */
  copied: HomeFact,
  events: z.array(z.object({ at: Iso, what: z.string() })),
})

export const scrubMethods = {
  /** Starts a scrub, or goes on with a slow one at full speed. */
  'scrub.start': { params: Nothing, result: ScrubState },
  'scrub.status': { params: Nothing, result: ScrubState },
  /** Gives up what is missing of a document; the writes of whole blocks behind it are written again. */
  'scrub.accept': {
    params: z.object({ agent: Name, layer: Name }),
    result: z.object({ missing: z.number().int(), rewritten: z.number().int(), unwritten: z.number().int() }),
  },
} as const

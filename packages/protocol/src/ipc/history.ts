import { z } from 'zod'
import { Acknowledging, Waiting } from './acknowledging.ts'
import { Iso, Json, Origin, Umr } from './shapes.ts'

/** Methods about what was: earlier versions of an item, and bringing one back. */
export const history = {
  /** The versions of an item that are in the blocks here, the latest first. */
  history: {
    params: z.object({ umr: Umr, limit: z.number().int().min(1).max(1_000).default(20) }),
    result: z.object({
      umr: Umr,
      versions: z.array(
        z.object({
          ...Origin.shape,
          type: z.enum(['register', 'text']),
          /** `beside`: in conflict with the one that is shown. */
          state: z.enum(['shown', 'beside', 'replaced', 'set aside']),
          /** Null: a delete, or a text. */
          value: Json.nullable(),
          /** Edits of a text by one writer within a minute are one version. */
          edits: z.number().int(),
          /** Whole lines of a text. */
          hunks: z.array(
            z.object({ line: z.number().int(), removed: z.array(z.string()), added: z.array(z.string()) }),
          ),
        }),
      ),
      earlier: z.number().int(),
      /** Older versions are compacted away; null: nothing is. */
      endsAt: Iso.nullable(),
    }),
  },
  /** What an item was at a time. */
  'history.at': {
    params: z.object({ umr: Umr, at: Iso }),
    result: z.object({
      umr: Umr,
      type: z.enum(['register', 'text', 'nothing']),
      at: Iso,
      /** JSON of a register (null: deleted), or the whole text. */
      value: z.string().nullable(),
      origin: Origin.nullable(),
    }),
  },
  /** Writes what an item was at a time as a new write; a text by the smallest edit. */
  restore: {
    params: z.object({ umr: Umr, at: Iso, ...Waiting }),
    result: z.object({
      umr: Umr,
      type: z.enum(['register', 'text']),
      from: Iso,
      /** Null: it reads so already. */
      write: z.string().nullable(),
      at: Iso.nullable(),
      ...Acknowledging,
    }),
  },
} as const

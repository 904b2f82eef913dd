import { z } from 'zod'

/** What many methods of the local socket take or give. */

export const Nothing = z.object({})
export const Umr = z.string().min(5).max(700)
export const Name = z.string().min(1).max(64)
/** Half a character has no UTF-8 form: it would be another text on disk and on the next machine. */
export const WholeText = z.string().refine((text) => text.isWellFormed(), 'Half a character (a lone surrogate)')
/** JSON text of a register's value, as stored. */
export const Json = WholeText
export const Iso = z.string()

/** Where one value came from. */
export const Origin = z.object({
  /** `block hash` of the write: names it in `conflicts keep` and `late merge`. */
  write: z.string(),
  node: z.string(),
  /** The machine. */
  nodeName: z.string(),
  /** The agent for which that machine wrote: the document's own where it is a host, else the one that was granted. */
  writer: z.string(),
  at: Iso,
  wallMs: z.number(),
})

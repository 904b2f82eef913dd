import { z } from 'zod'
import { Iso, Json, Name, Origin } from './shapes.ts'

/** Methods that say where other machines stand: `why`, `diff`, `wait`. */

/** Why something stands as it does: a code that stays, words for people, and the next step (null: none). */
const Why = { cause: z.string(), text: z.string(), next: z.string().nullable() }
const WhyLayer = z.object({
  agent: z.string(),
  layer: z.string(),
  /** Blocks that are here. */
  blocks: z.number().int(),
  /** The item as it is here; null where a whole layer was asked for. */
  item: z
    .object({
      type: z.enum(['register', 'text', 'diary', 'deleted', 'nothing']),
      value: Json.nullable(),
      origin: Origin.nullable(),
    })
    .nullable(),
  /** This machine first. */
  machines: z.array(
    z.object({
      node: z.string(),
      name: z.string(),
      here: z.boolean(),
      /** Of the layer, as this machine knows it. */
      has: z.enum(['same', 'older', 'newer', 'differs', 'nothing', 'unknown', 'not shared']),
      /** Of a register: the version that it has. */
      version: Origin.nullable(),
      /** Blocks that it lacks, and blocks that it has beyond those here (null: not known). */
      lacks: z.number().int(),
      more: z.number().int().nullable(),
      /** When the oldest block was written that it lacks. */
      since: Iso.nullable(),
      lastHeardAt: Iso.nullable(),
      ...Why,
    }),
  ),
  /** What is the matter with it on this machine: conflict, late, set-aside, held-clock, held-records, ... */
  notes: z.array(z.object({ code: z.string(), text: z.string(), next: z.string().nullable() })),
})

/** `relayed`, `replicated`: levels of docs/spec/13-acknowledgements.md. `synced`: every reader, both ways. */
const Until = z.enum(['synced', 'relayed', 'replicated'])

export const knowing = {
  /** Which machine has which version of an item, or of an agent's layers; what is missing where; why; what to do. */
  why: {
    params: z.object({ target: z.string().min(1).max(700) }),
    result: z.object({ target: z.string(), kind: z.enum(['item', 'agent']), layers: z.array(WhyLayer) }),
  },
  /** In which documents this machine and another differ, and which of them they do not share. */
  diff: {
    params: z.object({ peer: Name, keys: z.boolean().default(false) }),
    result: z.object({
      peer: z.string(),
      documents: z.array(
        z.object({
          agent: z.string(),
          layer: z.string(),
          /** `sent only`: it reads what this machine writes, and this machine may not read what it writes. */
          shared: z.enum(['both', 'sent only', 'no']),
          /** Blocks that it has not receipted. */
          theyLack: z.number().int(),
          /** Blocks that it named and that are not here; null: not known. */
          weLack: z.number().int().nullable(),
          /** With `keys`: which registers those blocks write, and how many of them edit texts. */
          keys: z
            .object({ names: z.array(z.string()), textEdits: z.number().int(), truncated: z.boolean() })
            .nullable(),
          ...Why,
        }),
      ),
    }),
  },
  /** Answers when others have what is here now, or when the time is over. Tells `wait.progress` meanwhile. */
  wait: {
    params: z.object({
      until: Until,
      /** An agent or a UMR; everything without. */
      target: z.string().min(1).max(700).optional(),
      /** This machine alone; every reader without. */
      peer: Name.optional(),
      timeoutMs: z.number().int().min(0).max(86_400_000).default(60_000),
    }),
    result: z.object({
      done: z.boolean(),
      until: Until,
      waitedMs: z.number().int(),
      /** How many documents were waited for, and which machines. */
      documents: z.number().int(),
      readers: z.array(z.string()),
      /** The first hundred that are still open. */
      behind: z.array(
        z.object({
          agent: z.string(),
          layer: z.string(),
          machine: z.string(),
          lacks: z.number().int(),
          more: z.number().int().nullable(),
          ...Why,
        }),
      ),
      /** Documents that no other machine may read, or none that stands by: nobody waited for these. */
      unshared: z.array(z.object({ agent: z.string(), layer: z.string() })),
      /** Documents that this disk alone has, since all standbys have left the sync set of an available agent. */
      alone: z.array(z.object({ agent: z.string(), layer: z.string(), left: z.array(z.string()) })),
    }),
  },
} as const

/** Told to whoever waits, now and then. */
export const WaitProgress = z.object({
  waitedMs: z.number().int(),
  documents: z.number().int(),
  machines: z.array(z.string()),
  blocks: z.number().int(),
})

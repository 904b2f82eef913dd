import { z } from 'zod'
import { DRILL_KINDS, Phases } from '../drills/facts.ts'
import { Iso, Name, Nothing } from './shapes.ts'

/** Rehearsed takeovers and their reports. */

const Filed = z.object({
  agent: z.string(),
  /** Its place in the chain of the agent's reports. */
  number: z.number().int(),
  kind: z.enum(DRILL_KINDS),
  at: Iso,
  passed: z.boolean(),
  standby: z.string(),
  holder: z.string(),
  hash: z.string(),
  /** JSON; the same for people lies beside it as `.md`. */
  file: z.string(),
})

export const DrillStatus = z.object({
  agent: z.string(),
  last: z
    .object({
      number: z.number().int(),
      at: Iso,
      passed: z.boolean(),
      kind: z.enum(DRILL_KINDS),
      /** Of the way to the standby; null where that was not rehearsed. */
      rto: Phases,
      /** Acknowledged blocks that were not there. */
      missing: z.number().int(),
    })
    .nullable(),
  /** The last try that came to no report. */
  failure: z.object({ at: Iso, code: z.string(), message: z.string() }).nullable(),
  /** Null where this node has none to run. */
  dueAt: Iso.nullable(),
  overdue: z.boolean(),
})

const Shown = Filed.extend({
  failed: z.array(z.object({ name: z.string(), target: z.string(), actual: z.string() })),
  /** What a person is to type, where the agent is not where it was. */
  next: z.string().nullable(),
  markdown: z.string(),
})

export const drillMethods = {
  /** Resolves when it is over and filed, be it red. */
  'drill.run': {
    params: z.object({
      agent: Name,
      kind: z.enum(DRILL_KINDS).default('shadow'),
      /** How long a holder that was killed may take to come back. */
      returnMs: z.number().int().min(1_000).max(3_600_000).optional(),
    }),
    result: Shown,
  },
  'drill.ls': { params: Nothing, result: z.object({ reports: z.array(Filed), drills: z.array(DrillStatus) }) },
  /** The newest one without a number. */
  'drill.report': {
    params: z.object({ agent: Name.optional(), number: z.number().int().min(1).optional() }),
    result: Shown,
  },
  /** Public signing keys of the mesh's nodes, removed ones included: what a report is verified with. */
  'drill.keys': { params: Nothing, result: z.object({ keys: z.record(z.string(), z.string()) }) },
} as const

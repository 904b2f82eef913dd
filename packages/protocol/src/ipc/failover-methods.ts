import { z } from 'zod'
import { Iso, Name } from './shapes.ts'

/** Who may act for which agent, and how that passes to another node (docs/spec/12-failover.md). */

const Mode = z.enum(['manual', 'ask', 'auto'])
const Durability = z.enum(['available', 'strict'])
const Act = z.string().regex(/^[0-9a-f]{32}$/)
const Profile = z.enum(['default', 'fast', 'calm'])

const FailoverAgent = z.object({
  agent: Name,
  mode: Mode,
  durability: Durability,
  holder: z.string().nullable(),
  term: z.number().int(),
  /** Where this node stands to it. */
  state: z.enum([
    'observer',
    'standby',
    'candidate',
    'blocked',
    'active',
    'catch-up',
    'draining',
    'fenced',
    'rolled-back',
  ]),
  /** Whether an act is allowed at this moment, and whether the witness excludes that another node acts. */
  may: z.boolean(),
  witnessed: z.boolean(),
  /** Why it may not act, or not take over. */
  why: z.string().nullable(),
  /** Nodes that have to be heard before a witness that forgot is believed again. */
  waitsFor: z.array(z.string()),
})

export const failoverMethods = {
  /** Whether the agent may act here at this very moment: a token for one act, or the reason why not as an error. */
  'must-hold': {
    params: z.object({ agent: Name, act: Act.optional() }),
    result: z.object({
      agent: Name,
      term: z.number().int(),
      record: z.string(),
      /** False for a manual agent: nobody excludes that another node acts as well. */
      witnessed: z.boolean(),
      act: Act,
      token: z.string(),
    }),
  },
  /** What a token is worth now: `passed` when a later term is known. */
  'must-hold.check': {
    params: z.object({ token: z.string().max(600) }),
    result: z.object({
      verdict: z.enum(['good', 'passed', 'bad']),
      agent: z.string().nullable(),
      nodeName: z.string().nullable(),
      term: z.number().int().nullable(),
      act: z.string().nullable(),
    }),
  },
  'failover.set': {
    params: z.object({ agent: Name, mode: Mode.optional(), durability: Durability.optional() }),
    result: z.object({ agent: Name, mode: Mode, durability: Durability, record: z.string().nullable() }),
  },
  'failover.status': {
    params: z.object({ agent: Name.optional() }),
    result: z.object({
      witness: z.object({ relays: z.array(z.string()), profile: Profile, inUse: z.boolean() }).nullable(),
      /** This node holds nothing until `release` is undone. */
      released: z.boolean(),
      agents: z.array(FailoverAgent),
    }),
  },
  /** Names the relay that keeps leases, or three of which two decide; the first of the mesh unless `relays` says. */
  'witness.set': {
    params: z.object({ profile: Profile.default('default'), relays: z.array(z.string()).optional() }),
    result: z.object({ relays: z.array(z.string()), profile: Profile, record: z.string() }),
  },
  /** Gives the agent to another host and waits until that one holds it; the next in order unless `to` says. */
  handover: {
    params: z.object({ agent: Name, to: z.string().optional() }),
    result: z.object({
      agent: Name,
      term: z.number().int(),
      holder: z.string(),
      record: z.string(),
      tookMs: z.number(),
    }),
  },
  /** Lets go of all leases, so that others need not wait; `undo` claims them again, as far as nobody took them. */
  release: {
    params: z.object({ undo: z.boolean().default(false) }),
    result: z.object({ released: z.boolean() }),
  },
  /** What happened around takeovers of an agent: terms, overlaps, late writes, acts done twice. */
  reconcile: {
    params: z.object({ agent: Name }),
    result: z.object({
      agent: Name,
      terms: z.array(
        z.object({
          number: z.number().int(),
          record: z.string(),
          holder: z.string(),
          reason: z.string(),
          from: Iso,
          /** When the next term began by its holder's clock; null for the present one. */
          until: Iso.nullable(),
          /** Of another record with this number. */
          overlaps: z.boolean(),
        }),
      ),
      layers: z.array(
        z.object({
          layer: z.string(),
          received: z.number().int(),
          folded: z.number().int(),
          late: z.number().int(),
          setAside: z.number().int(),
          held: z.number().int(),
          /** Of what the present term starts from, as its holder had it; null where the term names none. */
          digestBefore: z.string().nullable(),
          digestNow: z.string(),
          /** received = folded + late + set aside + held. */
          adds: z.boolean(),
        }),
      ),
      acts: z.object({
        granted: z.number().int(),
        /** Ids that were granted here more than once. */
        twice: z.array(z.string()),
        /** Granted here under a term when a higher one had begun. */
        passed: z.array(z.object({ act: z.string(), term: z.number().int(), at: Iso })),
      }),
      ok: z.boolean(),
    }),
  },
} as const

export const takeoverParams = z.object({
  agent: Name,
  reason: z.string().max(200).default(''),
  /** Past what was acknowledged and could be lost. */
  acceptDataLoss: z.string().min(1).max(150).optional(),
  /** Past the holder's lease. */
  force: z.boolean().default(false),
})

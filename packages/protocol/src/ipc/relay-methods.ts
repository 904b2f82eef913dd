import { z } from 'zod'
import { Iso } from './shapes.ts'

/** Where this node stands with one relay. */
export const RelayStatus = z.object({
  /** Its id. */
  relay: z.string(),
  address: z.string(),
  state: z.enum(['live', 'connecting', 'waiting', 'refused']),
  /** A code from docs/errors.md when not live. */
  reason: z.string().nullable(),
  nextTryAt: Iso.nullable(),
  /** Since when it is live, or not live. */
  since: Iso.nullable(),
  /** What its certificate has to be; `relay-key-only`: any, by the owner's choice. */
  tls: z.enum(['none', 'pinned', 'authorities', 'relay-key-only']),
  /** The HTTP proxy that it is reached through, without credentials. */
  proxy: z.string().nullable(),
})

/** In the order of preference. `record` is null where nothing had to change. */
const Named = z.object({ relays: z.array(z.string()), record: z.string().nullable() })

/** Which relays the mesh has. */
export const relayMethods = {
  'relay.ls': {
    params: z.object({}),
    result: z.object({ relays: z.array(RelayStatus.extend({ keepsLeases: z.boolean() })) }),
  },
  /** Tries it first, then names it for every node; one that is named already has moved there. */
  'relay.add': {
    params: z.object({ address: z.string(), claim: z.string().optional(), first: z.boolean().default(false) }),
    result: Named,
  },
  /** `relay`: its address, its id or the beginning of that. */
  'relay.rm': { params: z.object({ relay: z.string() }), result: Named },
  'relay.first': { params: z.object({ relay: z.string() }), result: Named },

  /** Asks another node a question that only it can answer, through the relays, and waits. */
  ping: {
    params: z.object({ node: z.string(), timeoutMs: z.int().min(1).max(60_000).default(5_000) }),
    /** `via`: the id of the relay that brought the answer. */
    result: z.object({ node: z.string(), ms: z.number(), via: z.string().nullable() }),
  },
} as const

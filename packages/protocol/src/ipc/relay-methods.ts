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

/** Links to other machines without a relay in between (docs/spec/18-direct-links.md). */
export const DirectStatus = z.object({
  /** Null where the config does not ask for it. `addresses`: what others may write into theirs. */
  listening: z.object({ addresses: z.array(z.string()), reason: z.string().nullable() }).nullable(),
  /** Whether it looks for others by mDNS; `failed`: this machine's network does not let it. */
  lan: z.enum(['off', 'looking', 'failed']),
  links: z.array(
    z.object({
      node: z.string(),
      name: z.string(),
      /** Of the other end: host and port. */
      at: z.string(),
      dialledHere: z.boolean(),
      since: Iso,
      /** False: it owes an answer, and packets go by the relays meanwhile. */
      answers: z.boolean(),
    }),
  ),
  /** Where this node dials. */
  peers: z.array(
    z.object({
      address: z.string(),
      /** On the LAN; else it stands in the config. */
      found: z.boolean(),
      /** Who is meant, or was there the last time. */
      name: z.string().nullable(),
      /** `not needed`: there is a link to it already, which it may have dialled. */
      state: z.enum(['live', 'connecting', 'waiting', 'refused', 'not needed']),
      reason: z.string().nullable(),
      nextTryAt: Iso.nullable(),
    }),
  ),
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

  /** Asks another node a question that only it can answer, by the way that packets for it go, and waits. */
  ping: {
    params: z.object({ node: z.string(), timeoutMs: z.int().min(1).max(60_000).default(5_000) }),
    /** `via`: the id of the relay that brought the answer, or `direct`. `why`: why packets for it go the way they go. */
    result: z.object({ node: z.string(), ms: z.number(), via: z.string().nullable(), why: z.string() }),
  },
} as const

import { z } from 'zod'
import { Iso, Name, Nothing } from './shapes.ts'

/** Methods of the local socket about the machines of the mesh, and about keys. */

const Device = z.object({
  node: z.string(),
  name: z.string(),
  here: z.boolean(),
  admin: z.boolean(),
  state: z.enum(['member', 'lapsed', 'removed']),
  /** Until when something can be sealed to it; null when nothing can until it returns. */
  prekeyExpiresAt: Iso.nullable(),
  lastHeardAt: Iso.nullable(),
  /** Names of the agents that it may carry. */
  hosts: z.array(z.string()),
})

export const machines = {
  'device.ls': { params: Nothing, result: z.object({ devices: z.array(Device) }) },
  'device.rename': {
    params: z.object({ node: z.string(), name: Name }),
    result: z.object({ node: z.string(), was: z.string(), record: z.string() }),
  },
  /** Makes a member an admin: it may let machines in and remove them. */
  'device.promote': {
    params: z.object({ node: z.string() }),
    result: z.object({ node: z.string(), record: z.string() }),
  },
  'device.revoke': {
    params: z.object({ node: z.string(), reason: z.string().max(200).default('') }),
    /** `relayTold`: else it is told when it is reached. */
    result: z.object({ node: z.string(), record: z.string(), relayTold: z.boolean() }),
  },

  /** Public halves and dates only. */
  'key.show': {
    params: Nothing,
    result: z.object({
      mesh: z.string(),
      node: z.string(),
      admin: z.boolean(),
      /** Whether the root key lies on this machine. */
      root: z.boolean(),
      signKey: z.string(),
      loginKey: z.string(),
      agents: z.array(z.object({ agent: z.string(), name: z.string() })),
      prekeys: z.array(z.object({ publicKey: z.string(), notBefore: Iso, expires: Iso, held: z.boolean() })),
      kit: z.object({ madeAt: Iso, missing: z.array(z.string()) }).nullable(),
      /** Whether the relay has all of the membership log for whoever comes with the kit. */
      logCopied: z.boolean(),
    }),
  },
  'key.rotate': { params: Nothing, result: z.object({ publicKey: z.string(), expires: Iso, record: z.string() }) },
  /** What a recovery kit holds besides secrets. */
  'kit.draft': {
    params: Nothing,
    result: z.object({
      mesh: z.string(),
      meshName: z.string(),
      relays: z.array(z.string()),
      agents: z.array(z.object({ id: z.string(), name: z.string() })),
      records: z.array(z.base64()),
    }),
  },
  /** A kit with the keys of these agents was written, read back and opened. */
  'kit.kept': {
    params: z.object({ madeAt: Iso, agents: z.array(z.string().length(64)).max(10_000) }),
    result: Nothing,
  },
} as const

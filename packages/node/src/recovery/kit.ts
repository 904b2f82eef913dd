import { fromHex, isHex, toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { type AgentId, isName, type MeshId } from '@sealmesh/protocol/ids'
import { SEED_BYTES } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { z } from 'zod'

/** What a recovery kit holds (docs/spec/11-recovery.md §1). The seeds are secret; the rest every member knows. */
export interface Kit {
  readonly mesh: MeshId
  readonly meshName: string
  readonly madeAt: string
  readonly rootSeed: Uint8Array
  readonly agents: readonly { readonly id: AgentId; readonly name: string; readonly seed: Uint8Array }[]
  /** Addresses, in order of preference. */
  readonly relays: readonly string[]
  /** The membership log of the time, for when no relay has a newer one. */
  readonly records: readonly Uint8Array[]
}

const Seed = z.string().refine((text) => isHex(text, SEED_BYTES))
const Form = z.object({
  format: z.literal('sealmesh-recovery-kit-1'),
  mesh: Seed,
  meshName: z.string().max(1_024),
  madeAt: z.iso.datetime(),
  root: Seed,
  agents: z.array(z.object({ id: Seed, name: z.string().refine(isName), seed: Seed })).max(10_000),
  relays: z.array(z.string().max(512)).max(16),
  records: z.array(z.base64()).max(100_000),
})

/** JSON that a person can read once it is decrypted. */
export const encodeKit = (kit: Kit): string =>
  `${JSON.stringify(
    {
      format: 'sealmesh-recovery-kit-1',
      mesh: kit.mesh,
      meshName: kit.meshName,
      madeAt: kit.madeAt,
      root: toHex(kit.rootSeed),
      agents: kit.agents.map(({ id, name, seed }) => ({ id, name, seed: toHex(seed) })),
      relays: [...kit.relays],
      records: kit.records.map((bytes) => Buffer.from(bytes).toString('base64')),
    } satisfies z.infer<typeof Form>,
    null,
    2,
  )}\n`

/** Throws KIT_INVALID, also for keys that do not belong to what they are said to be of. */
export function decodeKit(text: string, sodium: Sodium): Kit {
  const form = Form.safeParse(parseJson(text))
  if (!form.success) throw kitInvalid('it opens, but holds no recovery kit')
  const { mesh, meshName, madeAt, root, agents, relays, records } = form.data
  const kit: Kit = {
    mesh: mesh as MeshId,
    meshName,
    madeAt,
    rootSeed: fromHex(root),
    agents: agents.map(({ id, name, seed }) => ({ id: id as AgentId, name, seed: fromHex(seed) })),
    relays,
    records: records.map((text) => new Uint8Array(Buffer.from(text, 'base64'))),
  }
  if (toHex(sodium.signKeys('root', kit.rootSeed).publicKey) !== mesh)
    throw kitInvalid('its root key is that of another mesh')
  if (kit.agents.some(({ id, seed }) => toHex(sodium.signKeys('agent', seed).publicKey) !== id))
    throw kitInvalid('the key of an agent is that of another one')
  return kit
}

export const kitInvalid = (why: string, cause?: unknown): Failure =>
  new Failure('KIT_INVALID', `This recovery kit cannot be used: ${why}.`, cause === undefined ? {} : { cause })

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

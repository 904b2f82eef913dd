import { fromUtf8, toHex } from '@sealmesh/protocol/bytes'
import type { AgentId } from '@sealmesh/protocol/ids'
import { SEED_BYTES } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { HOME_ENTRIES } from './image-of-home.ts'
import { invalid, type SnapshotReader } from './read-snapshot.ts'

/** The part `home` of a snapshot, as a restore uses it. Seeds are secret. */
export interface HomePart {
  readonly config: Uint8Array | undefined
  readonly named: ReadonlyMap<string, Uint8Array>
  readonly foundingAgent: Uint8Array | undefined
  /** By id. */
  readonly agents: ReadonlyMap<AgentId, Uint8Array>
  /** In snapshots that stay with their machine. */
  readonly own: { readonly sign: Uint8Array; readonly login: Uint8Array } | undefined
  readonly hadRoot: boolean
}

/** Throws SNAPSHOT_INVALID for a seed that is not that of its name. */
export async function readHomePart(snapshot: SnapshotReader, sodium: Sodium): Promise<HomePart> {
  const all = new Map<string, Uint8Array>()
  for await (const entries of snapshot.entries('home'))
    for (const { key, value } of entries) all.set(fromUtf8(key), value)
  const under = (prefix: string): [string, Uint8Array][] =>
    [...all].flatMap(([name, value]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : []))
  const seed = (name: string): Uint8Array | undefined => {
    const value = all.get(name)
    if (value !== undefined && value.length !== SEED_BYTES) throw invalid('a key in it cannot be read')
    return value
  }
  const agents = new Map(under(HOME_ENTRIES.agent) as [AgentId, Uint8Array][])
  for (const [id, value] of agents)
    if (value.length !== SEED_BYTES || toHex(sodium.signKeys('agent', value).publicKey) !== id)
      throw invalid('the key of an agent in it is that of another one')
  const [sign, login] = [seed(HOME_ENTRIES.sign), seed(HOME_ENTRIES.login)]
  return {
    config: all.get(HOME_ENTRIES.config),
    named: new Map(under(HOME_ENTRIES.meta)),
    foundingAgent: seed(HOME_ENTRIES.founding),
    agents,
    own: sign !== undefined && login !== undefined ? { sign, login } : undefined,
    hadRoot: all.has(HOME_ENTRIES.root),
  }
}

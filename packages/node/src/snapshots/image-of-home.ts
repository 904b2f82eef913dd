import { concatBytes, toHex, utf8 } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { AgentId } from '@sealmesh/protocol/ids'
import { type KeyPair, type Secret, SEED_BYTES, type SignPublicKey } from '@sealmesh/protocol/keys'
import type { Entry } from '@sealmesh/protocol/snapshots/image'
import type { PartName } from '@sealmesh/protocol/snapshots/sealed'
import type { KeyStore } from '../keys/key-store.ts'
import { metaKey, TABLES, tablePrefix } from '../store/keys.ts'
import type { Store } from '../store/store.ts'

/**
 * What of a home is in a snapshot (docs/spec/11-recovery.md §7): what it could not get back from others. Not its root
 * key, which the kit has, nor its prekeys, which are to be destroyed; nothing that counts what this run has said, so that
 * a restored home cannot say it again.
 */
export interface HomeSources {
  readonly store: Store
  /** Absent: the diary stays out. */
  readonly diary?: Store | undefined
  readonly keys: Pick<KeyStore, 'sign' | 'login' | 'foundingAgent' | 'root' | 'agents' | 'agentKeys'>
  /** Whether the keys of the node itself go along: they do not leave this machine for a relay. */
  readonly identity: boolean
  /** `config.toml`, where there is one. */
  readonly config: () => Promise<Uint8Array | undefined>
}

export interface ImagePart {
  readonly name: PartName
  readonly entries: () => AsyncIterable<Entry>
}

/** Of named values these and no others: the rest is of one run, or is made again. */
export const NAMED_VALUES = ['membership', 'relay-token', 'kit-made', 'merged-late', 'last-heard'] as const

/** Entries of the part `home`. */
export const HOME_ENTRIES = {
  config: 'config.toml',
  meta: 'meta ',
  sign: 'key sign',
  login: 'key login',
  founding: 'key founding',
  agent: 'key agent ',
  /** The root key lay here, too: the kit has it. */
  root: 'key root elsewhere',
} as const

/** In the order in which they have to be read: what documents name of the log is in what is read of it later. */
export function imageOf(sources: HomeSources, onDamaged: () => void): ImagePart[] {
  const { store, diary } = sources
  const parts: ImagePart[] = [
    {
      name: 'documents',
      entries: () => inOneView(store, TABLES.document, TABLES.record, (table) => !INDEX_PAGES.has(table), onDamaged),
    },
    { name: 'records', entries: () => inOneView(store, TABLES.record, TABLES.record + 1, () => true, onDamaged) },
    { name: 'home', entries: () => homeEntries(sources) },
  ]
  if (diary !== undefined)
    parts.push({
      name: 'diary',
      entries: () => inOneView(diary, TABLES.diary, TABLES.diary + 1, () => true, onDamaged),
    })
  return parts
}

/** They are made again from the entries. */
const INDEX_PAGES: ReadonlySet<number> = new Set([TABLES.page, TABLES.unpaged])

/** One cursor over neighbouring tables: all of them as they were at one moment. */
async function* inOneView(
  store: Store,
  from: number,
  to: number,
  wanted: (table: number) => boolean,
  onDamaged: () => void,
): AsyncGenerator<Entry> {
  const { reopened } = store
  for await (const { key, value } of store.examine({ from: tablePrefix(from), to: tablePrefix(to) })) {
    if (store.reopened !== reopened)
      throw new Failure('CORE_BUSY', 'The database was opened anew while it was read for a snapshot.')
    if (!wanted(key[0] ?? 0)) continue
    if (value === undefined) onDamaged()
    else yield { key, value }
  }
}

async function* homeEntries({ store, keys, identity, config }: HomeSources): AsyncGenerator<Entry> {
  const entry = (name: string, value: Uint8Array): Entry => ({ key: utf8(name), value })
  const toml = await config()
  if (toml !== undefined) yield entry(HOME_ENTRIES.config, toml)
  for (const name of NAMED_VALUES) {
    const value = await store.get(metaKey(name))
    if (value !== undefined) yield entry(HOME_ENTRIES.meta + name, value)
  }
  if (identity) {
    yield entry(HOME_ENTRIES.sign, seedOf(keys.sign.secretKey))
    yield entry(HOME_ENTRIES.login, seedOf(keys.login.secretKey))
    if (keys.root !== undefined) yield entry(HOME_ENTRIES.root, new Uint8Array())
  }
  yield entry(HOME_ENTRIES.founding, seedOf(keys.foundingAgent.secretKey))
  const founding = toHex(keys.foundingAgent.publicKey)
  for (const agent of keys.agents().toSorted()) {
    const pair: KeyPair<SignPublicKey, 'agent'> | undefined = agent === founding ? undefined : keys.agentKeys(agent)
    if (pair !== undefined) yield entry(HOME_ENTRIES.agent + (agent satisfies AgentId), seedOf(pair.secretKey))
  }
}

const seedOf = (secret: Secret<'sign' | 'login' | 'agent'>): Uint8Array =>
  concatBytes(secret.expose().subarray(0, SEED_BYTES))

/** Whether an entry of an image belongs into a database: one that is not ours goes nowhere. */
export const isOfTables = (key: Uint8Array, from: number, to: number): boolean =>
  key.length > 1 && key[0]! >= from && key[0]! < to && !INDEX_PAGES.has(key[0]!)

import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import type { KeyPair, SealPublicKey } from '@sealmesh/protocol/keys'
import { recoveryKeysOf } from '@sealmesh/protocol/recovery/recovery-keys'
import { vaultKeyOf } from '@sealmesh/protocol/snapshots/sealed'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { HomeHealth } from '../health/home-health.ts'
import { diskFailure, errnoOf } from '../keys/disk-failure.ts'
import { writeDurably } from '../keys/durable-file.ts'
import { type Home, prepareHome } from '../keys/home.ts'
import { lockHome } from '../keys/home-lock.ts'
import { KeyStore } from '../keys/key-store.ts'
import type { Kit } from '../recovery/kit.ts'
import { MEMBERSHIP, nodeIdFrom } from '../setup/identity.ts'
import { Meta } from '../store/meta.ts'
import { openSoundStore } from '../store/open-store.ts'
import { NAMED_VALUES } from './image-of-home.ts'
import { copyDurably } from './copy-folder.ts'
import { documentsIn, fillStore, markPartial } from './fill-store.ts'
import { type HomePart, readHomePart } from './home-part.ts'
import { invalid, SnapshotReader, type SnapshotSource } from './read-snapshot.ts'
import { openSnapshotFile } from './snapshot-file.ts'
import { beginDraft, finishSwap, swapHome } from './swap-home.ts'
import { type Verified, verifySnapshot } from './verify-snapshot.ts'

/** What opens a snapshot: the kit, or the keys of the home that made it. */
export interface Opener {
  readonly kit: Kit | undefined
  readonly keys: KeyStore | undefined
}

export interface OpenSnapshot {
  readonly snapshot: SnapshotReader
  readonly close: () => Promise<void>
}

/** Throws SNAPSHOT_SEALED when neither opens it. */
export async function openSnapshot(path: string, by: Opener, sodium: Sodium): Promise<OpenSnapshot> {
  const source = await openSnapshotFile(path)
  try {
    return { snapshot: await openWith(source, by, sodium), close: () => source.close() }
  } catch (error) {
    await source.close()
    throw error
  }
}

async function openWith(source: SnapshotSource, { kit, keys }: Opener, sodium: Sodium): Promise<SnapshotReader> {
  if (keys !== undefined) {
    try {
      return await SnapshotReader.open(source, { own: vaultKeyOf(keys.sign.secretKey, sodium) }, sodium)
    } catch (error) {
      if (kit === undefined || !(error instanceof Failure) || error.code !== 'SNAPSHOT_SEALED') throw error
    }
  }
  if (kit === undefined)
    throw new Failure('SNAPSHOT_SEALED', 'A snapshot opens with the recovery kit, or in the home that made it.')
  const snapshot = await SnapshotReader.open(source, { kit: sealKeyOf(kit, sodium) }, sodium)
  if (snapshot.root.mesh !== kit.mesh) throw invalid('it is of another mesh than the kit')
  return snapshot
}

function sealKeyOf(kit: Kit, sodium: Sodium): KeyPair<SealPublicKey, 'seal'> {
  const { secretKey } = sodium.signKeys('root', kit.rootSeed)
  return recoveryKeysOf(secretKey, sodium).seal
}

export interface Restored extends Verified {
  readonly node: string
  readonly atMs: number
  /** Where what was there before is now. */
  readonly replaced: string | null
  readonly diaryKept: boolean
}

/**
 * Makes a home of a snapshot: the same node again, as of then. Everything is verified before anything is written, and
 * written beside the home before the home is touched. Every start begins an incarnation of its own, so that nothing that
 * was counted is counted again; that it holds less than it once did is noted from the start (docs/spec/11-recovery.md §8).
 */
export async function restoreSnapshot(
  home: Home,
  path: string,
  by: { readonly kit: Kit | undefined; readonly keysPassphrase: string | undefined; readonly replace: boolean },
  sodium: Sodium,
  onProgress: (text: string) => void,
): Promise<Restored> {
  await prepareHome(home)
  const lock = await lockHome(home)
  try {
    await finishSwap(home)
    const deps = { sodium, random: (bytes: number): Uint8Array => randomBytes(bytes) }
    const isUsed = (await KeyStore.exists(home.keys)) || (await readdir(home.db)).length > 0
    if (isUsed && !by.replace)
      throw new Failure('ALREADY_JOINED', `The home ${home.path} is in use already.`, {
        next: 'name an empty one with --home DIR, or add --replace: what is there is set aside, whole',
      })
    const keys = (await KeyStore.exists(home.keys)) ? await ownKeys(home, deps, by) : undefined
    const { snapshot, close } = await openSnapshot(path, { kit: by.kit, keys }, sodium)
    try {
      onProgress('comparing it with its hashes and signatures')
      const verified = await verifySnapshot(snapshot, sodium, (bytes) => onProgress(`${mib(bytes)} compared`))
      const part = await readHomePart(snapshot, sodium)
      const own = keys !== undefined && nodeIdFrom(keys, sodium) === snapshot.root.node ? keys : undefined
      const draft = await beginDraft(home)
      await placeKeys(home, draft, { part, kit: by.kit, own }, deps)
      const diaryKept = await fillDraft(home, draft, snapshot, part, onProgress)
      if (part.config !== undefined) await writeDurably(join(draft, 'config.toml'), part.config)
      const replaced = await swapHome(home)
      const { node, atMs } = snapshot.root
      return { ...verified, node, atMs, replaced: replaced ?? null, diaryKept }
    } finally {
      await close()
    }
  } finally {
    await lock.release()
  }
}

/** Where a kit is given the keys of the home are not needed, whatever is wrong with them. */
async function ownKeys(
  home: Home,
  deps: Parameters<typeof KeyStore.load>[1],
  { kit, keysPassphrase }: { readonly kit: Kit | undefined; readonly keysPassphrase: string | undefined },
): Promise<KeyStore | undefined> {
  try {
    return await KeyStore.load(home.keys, deps, keysPassphrase)
  } catch (error) {
    if (kit === undefined) throw error
    return undefined
  }
}

/** Those of the home, prekeys and all, where they are this node's; else those of the snapshot, and the kit's root. */
async function placeKeys(
  home: Home,
  draft: string,
  { part, kit, own }: { part: HomePart; kit: Kit | undefined; own: KeyStore | undefined },
  deps: Parameters<typeof KeyStore.load>[1],
): Promise<void> {
  const keys = join(draft, 'keys')
  if (own !== undefined) {
    await copyDurably(home.keys, keys).catch((error: unknown) => {
      throw diskFailure(error, `copying the keys of ${home.path}`)
    })
    return
  }
  const { own: node, foundingAgent, agents } = part
  if (node === undefined || foundingAgent === undefined)
    throw new Failure('SNAPSHOT_SEALED', 'This snapshot does not hold the keys of its machine.', {
      next: 'sealmesh recover KIT makes a new machine of what lies in the vault',
    })
  const root = part.hadRoot && kit !== undefined ? kit.rootSeed : false
  await KeyStore.create(keys, deps, { root, agents: [...agents.values()], own: { ...node, foundingAgent } })
}

async function fillDraft(
  home: Home,
  draft: string,
  snapshot: SnapshotReader,
  part: HomePart,
  onProgress: (text: string) => void,
): Promise<boolean> {
  const now = Date.now
  const options = { now, monotonicMs: () => performance.now() }
  let written = 0
  const progress = (bytes: number): void => {
    written += bytes
    onProgress(`${mib(written)} restored`)
  }
  const { store, close } = await openSoundStore(join(draft, 'db'), { ...options, mirrored: true })
  try {
    const everything = (): boolean => true
    await fillStore(snapshot, 'records', store, everything, progress)
    await fillStore(snapshot, 'documents', store, everything, progress)
    await markPartial(store, await documentsIn(store))
    const meta = new Meta(store)
    const health = await HomeHealth.load(meta, now, (error) => {
      throw error
    })
    await health.rolledBack(
      `it was restored from a snapshot of ${new Date(snapshot.root.atMs).toISOString()} (incarnation ${snapshot.root.incarnation})`,
    )
    await health.close()
    // Last, as in a join: it says that all the rest is there.
    // Whoever made the snapshot says nothing of this home's health, or of its leases.
    for (const name of NAMED_VALUES) {
      const value = name === MEMBERSHIP ? undefined : part.named.get(name)
      if (value !== undefined) await meta.writeBytes(name, value)
    }
    const membership = part.named.get(MEMBERSHIP)
    if (membership === undefined) throw invalid('it does not say to which mesh its home belongs')
    await meta.writeBytes(MEMBERSHIP, membership)
  } finally {
    await close()
  }
  if (snapshot.part('diary') === undefined) {
    // Nobody else has it: what the home has stays there.
    for (const name of ['diary', 'diary.pin'])
      await copyDurably(join(home.path, name), join(draft, name)).catch((error: unknown) => {
        if (errnoOf(error) !== 'ENOENT') throw diskFailure(error, `copying the diary of ${home.path}`)
      })
    return (await readdir(join(draft, 'diary')).catch(() => [])).length > 0
  }
  const diary = await openSoundStore(join(draft, 'diary'), { ...options, mirrored: false })
  try {
    await fillStore(snapshot, 'diary', diary.store, () => true, progress)
  } finally {
    await diary.close()
  }
  return false
}

export const mib = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`

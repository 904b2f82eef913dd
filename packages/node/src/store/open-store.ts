import { Failure } from '@sealmesh/protocol/errors'
import { LevelDatabase } from './database.ts'
import { inspectDatabase } from './level/inspect.ts'
import { finishRebuild, type Rebuilt, rebuildDatabase } from './level/rebuild.ts'
import { Mirror } from './mirror.ts'
import { type FellBack, Pin } from './pin.ts'
import { openStore, type Store } from './store.ts'

export interface StoreHealth {
  /** What was wrong with the files, in words of ours. */
  readonly reasons: readonly string[]
  readonly rebuilt: Rebuilt | undefined
  /** It holds less than it did. */
  readonly fellBack: FellBack | undefined
  /** Entries that came from the copy beside it. */
  readonly restored: number
}

export interface SoundStore {
  readonly directory: string
  readonly store: Store
  readonly health: StoreHealth
  /** Makes it anew from what is whole in its files, while it is in use. */
  readonly rebuild: () => Promise<Rebuilt>
  /** Puts back what the copy beside it has and it has not. */
  readonly reconcile: () => Promise<number>
  readonly close: () => Promise<void>
}

/**
 * Opens a database whatever has happened to its files: what LevelDB would take for a new one, or silently read less
 * of, is rebuilt from what is left before it is opened. Throws HOME_IN_USE, STORE_VERSION, DISK_FULL or DISK_FAILED.
 */
export async function openSoundStore(
  directory: string,
  options: {
    readonly now: () => number
    readonly monotonicMs: () => number
    readonly mirrored: boolean
    readonly distrusted?: boolean
  },
): Promise<SoundStore> {
  await finishRebuild(directory)
  const reasons = options.distrusted === true ? ['a table could not be read'] : await inspectDatabase(directory)
  let rebuilt = reasons.length > 0 ? await rebuildDatabase(directory, options.now()) : undefined
  const mirror = options.mirrored ? await Mirror.open(`${directory}.mirror`) : undefined
  const pinOf = () => new Pin(`${directory}.pin`, options.monotonicMs)
  let pin = pinOf()
  let store: Store
  try {
    store = await openStore(directory, new LevelDatabase(directory), { pin, mirror })
  } catch (error) {
    if (rebuilt !== undefined || !(error instanceof Failure) || error.code !== 'STORE_DAMAGED') throw error
    reasons.push('LevelDB refused the files')
    rebuilt = await rebuildDatabase(directory, options.now())
    pin = pinOf()
    store = await openStore(directory, new LevelDatabase(directory), { pin, mirror })
  }
  const restored = (await mirror?.reconcile(store, rebuilt !== undefined || pin.fellBack !== undefined)) ?? 0
  const close = async () => {
    await store.close()
    await mirror?.close()
  }
  const rebuild = async () => {
    let result: Rebuilt | undefined
    await store.replaceFiles(async () => {
      result = await rebuildDatabase(directory, options.now())
    })
    await mirror?.reconcile(store, true)
    if (result === undefined) throw new Failure('DISK_FAILED', 'The database could not be rebuilt.')
    return result
  }
  const reconcile = async () => (await mirror?.reconcile(store, false)) ?? 0
  const health = { reasons, rebuilt, fellBack: pin.fellBack, restored }
  return { directory, store, health, rebuild, reconcile, close }
}

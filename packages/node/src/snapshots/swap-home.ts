import { lstat, mkdir, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { diskFailure, errnoOf } from '../keys/disk-failure.ts'
import { PRIVATE_DIRECTORY_MODE, syncDirectory, writeDurably } from '../keys/durable-file.ts'
import type { Home } from '../keys/home.ts'
import { lockHome } from '../keys/home-lock.ts'

/**
 * A restored home is made whole in a folder inside of the old one, and then takes its place, name by name. A crash in
 * between is gone on with by the next start, from one of two notes:
 *
 *     restoring/                what is to become the home
 *     restoring/ready           it is whole: what is there now is set aside
 *     restoring/aside           that is done: what is new moves to its place
 *     replaced-<time>/          what was there before, whole
 */
const DRAFT = 'restoring'
const READY = 'ready'
const ASIDE = 'aside'
/** All that a home is made of, but for what lives as long as a process. Snapshots stay where they are. */
const NAMES = ['keys', 'db', 'db.mirror', 'db.pin', 'diary', 'diary.pin', 'config.toml'] as const

export const draftOf = (home: Pick<Home, 'path'>): string => join(home.path, DRAFT)

/** An empty folder for a new one; one that is whole already is put in its place first. */
export async function beginDraft(home: Pick<Home, 'path'>): Promise<string> {
  await finishSwap(home)
  const draft = draftOf(home)
  try {
    await rm(draft, { recursive: true, force: true })
    await mkdir(draft, { mode: PRIVATE_DIRECTORY_MODE })
  } catch (error) {
    throw diskFailure(error, `preparing ${draft}`)
  }
  return draft
}

/** What is in the draft becomes the home. Gives the folder in which the old one is, if there was one. */
export async function swapHome(home: Pick<Home, 'path'>): Promise<string | undefined> {
  const draft = draftOf(home)
  try {
    await syncDirectory(draft)
    await writeDurably(join(draft, READY), '')
  } catch (error) {
    throw diskFailure(error, `finishing ${draft}`)
  }
  return finishSwap(home)
}

/** Goes on with a swap that was cut off. Under the home's lock. */
export async function finishSwap(home: Pick<Home, 'path'>): Promise<string | undefined> {
  const draft = draftOf(home)
  try {
    let aside: string | undefined
    if (await exists(join(draft, READY))) {
      aside = await asideOf(home)
      for (const name of NAMES) {
        if (!(await exists(join(home.path, name))) || (await isEmptied(join(home.path, name)))) continue
        await mkdir(aside, { recursive: true, mode: PRIVATE_DIRECTORY_MODE })
        await rename(join(home.path, name), join(aside, name))
      }
      if (await exists(aside)) await syncDirectory(aside)
      await syncDirectory(home.path)
      await rename(join(draft, READY), join(draft, ASIDE))
      await syncDirectory(draft)
    }
    if (!(await exists(join(draft, ASIDE)))) return aside
    for (const name of NAMES)
      if (await exists(join(draft, name))) await rename(join(draft, name), join(home.path, name))
    await syncDirectory(home.path)
    await rm(draft, { recursive: true, force: true })
    return aside !== undefined && (await exists(aside)) ? aside : undefined
  } catch (error) {
    throw diskFailure(error, `putting the restored home ${home.path} in its place`)
  }
}

/** At every start: a restore that was cut off is gone on with before anything of the home is looked at. */
export async function finishRestore(home: Home): Promise<void> {
  if (!(await exists(join(draftOf(home), READY))) && !(await exists(join(draftOf(home), ASIDE)))) return
  const lock = await lockHome(home)
  try {
    await finishSwap(home)
  } finally {
    await lock.release()
  }
}

/** One folder for one restore, also when it is gone on with. */
async function asideOf(home: Pick<Home, 'path'>): Promise<string> {
  const { mtimeMs } = await lstat(join(draftOf(home), READY))
  return join(home.path, `replaced-${Math.floor(mtimeMs)}`)
}

/** An empty folder, such as a home that was just prepared has, is worth nothing, and gone. */
async function isEmptied(path: string): Promise<boolean> {
  try {
    await rmdir(path)
    return true
  } catch {
    return false
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false
    throw error
  }
}

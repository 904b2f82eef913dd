import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import { Level } from 'level'
import { diskFailure, errnoOf } from './disk-failure.ts'
import { makePrivateDirectory, writeDurably } from './durable-file.ts'
import type { Home } from './home.ts'

export interface HomeLock {
  release(): Promise<void>
}

/** How long a holder without a living pid may take: one that starts, or one that has ended and is being reaped. */
const HOLDER_UNSURE_MS = 1_000
const HOLDER_UNSURE_STEP_MS = 50

/**
 * One process per home. The lock is the kernel's, on the LOCK file of an otherwise empty LevelDB: it ends with its
 * process however that ends, so there is no stale lock to break and no moment between looking and taking. The pid
 * file only tells people whom to stop.
 */
export async function lockHome(home: Home): Promise<HomeLock> {
  const db = await takeLock(home)
  try {
    await writeDurably(home.pid, `${process.pid}\n`)
  } catch (error) {
    await db.close()
    throw diskFailure(error, `writing ${home.pid}`)
  }
  return {
    async release() {
      // In this order nobody's pid but ours can be removed.
      await rm(home.pid, { force: true })
      await db.close()
    },
  }
}

async function takeLock(home: Home): Promise<Level> {
  const giveUpAtMs = Date.now() + HOLDER_UNSURE_MS
  let cleaned = false
  for (;;) {
    const db = new Level(home.lock)
    try {
      await makePrivateDirectory(home.lock)
      await db.open()
      return db
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
      if (errnoOf(cause) === 'LEVEL_LOCKED') {
        const pid = await livingHolder(home)
        if (pid === undefined && Date.now() < giveUpAtMs) {
          await wait(HOLDER_UNSURE_STEP_MS)
          continue
        }
        const who = pid === undefined ? 'Another process' : `The process ${pid}`
        throw new Failure('HOME_IN_USE', `${who} uses the home ${home.path}.`, { cause })
      }
      if (cause instanceof Error && /No space left|quota exceeded/i.test(cause.message))
        throw new Failure('DISK_FULL', `The disk is full: locking the home ${home.path}.`, { cause })
      if (cleaned) throw diskFailure(cause, `locking the home ${home.path}`)
      cleaned = true
      await removeAllButLock(home)
    }
  }
}

/**
 * The database holds nothing, so damage to it (a power cut) is healed by emptying it. LOCK itself stays: as long as
 * that file is never removed, two processes cannot hold locks on two files of the same name.
 */
async function removeAllButLock(home: Home): Promise<void> {
  try {
    for (const name of await readdir(home.lock))
      if (name !== 'LOCK') await rm(join(home.lock, name), { recursive: true, force: true })
  } catch (error) {
    throw diskFailure(error, `locking the home ${home.path}`)
  }
}

/** The pid in the pid file, if such a process lives. */
export async function livingHolder(home: Home): Promise<number | undefined> {
  let pid: number
  try {
    pid = Number((await readFile(home.pid, 'utf8')).trim())
  } catch {
    return undefined
  }
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
  try {
    process.kill(pid, 0)
    return pid
  } catch (error) {
    // EPERM: it lives, and belongs to another user.
    return errnoOf(error) === 'EPERM' ? pid : undefined
  }
}

import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf } from './disk-failure.ts'

export const PRIVATE_FILE_MODE = 0o600
export const PRIVATE_DIRECTORY_MODE = 0o700

/**
 * Replaces a file so that after a power cut either the old or the new content is there, whole: a temporary file beside
 * it is written and fsynced, renamed over it, and the directory that holds the name is fsynced. Mode 0600 from the
 * first byte on. Errors of the file system pass through untranslated.
 */
export async function writeDurably(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.new`
  // A crash may have left one behind; `wx` then proves that nobody else is writing it now.
  await rm(temporary, { force: true })
  const file = await open(temporary, 'wx', PRIVATE_FILE_MODE)
  try {
    await file.writeFile(content)
    await file.sync()
  } catch (error) {
    await file.close()
    await rm(temporary, { force: true })
    throw error
  }
  await file.close()
  await rename(temporary, path)
  await syncDirectory(dirname(path))
}

/**
 * The same, and then the place of the old content is overwritten: on plain disks, not on flash or where a file system
 * copies on writing.
 */
export async function replaceSecret(path: string, content: string): Promise<void> {
  let old: FileHandle | undefined
  try {
    old = await open(path, 'r+')
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
  try {
    await writeDurably(path, content)
    if (old !== undefined) await overwrite(old)
  } finally {
    await old?.close()
  }
}

async function overwrite(file: FileHandle): Promise<void> {
  const { size } = await file.stat()
  await file.write(new Uint8Array(size), 0, size, 0)
  await file.sync()
}

/** Makes names durable: a rename, a new file or a removal in `directory`. */
export async function syncDirectory(directory: string): Promise<void> {
  let handle: FileHandle
  try {
    handle = await open(directory, 'r')
  } catch (error) {
    // Windows has no handle for a folder, and journals names itself.
    if (process.platform === 'win32') return
    throw error
  }
  try {
    await handle.sync()
  } catch (error) {
    // Some network and FUSE file systems refuse to sync a folder; the file itself is synced already.
    if (!['EINVAL', 'ENOTSUP', 'EPERM'].includes(errnoOf(error) ?? '')) throw error
  } finally {
    await handle.close()
  }
}

const GONE = '.gone'

/**
 * Overwrites, then removes, under a name that says so: after a crash in between, `finishDestroying` ends it, and
 * nobody takes the remains for a damaged file. The overwriting reaches the old sectors on plain disks only; on flash
 * and on copy-on-write file systems it is the removal that counts, and disk encryption does the rest.
 */
export async function destroyFile(path: string): Promise<void> {
  await rename(path, path + GONE)
  await syncDirectory(dirname(path))
  await finishDestroying(path + GONE)
}

export const isHalfDestroyed = (name: string): boolean => name.endsWith(GONE)

export async function finishDestroying(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await overwrite(file)
  } finally {
    await file.close()
  }
  await rm(path)
  await syncDirectory(dirname(path))
}

export const makePrivateDirectory = async (path: string): Promise<void> => {
  await mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY_MODE })
}

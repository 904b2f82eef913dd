import { constants, existsSync } from 'node:fs'
import { copyFile, cp, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { openRelay } from '../control/client.ts'
import { dataDirectory, type DataDirectory, errnoOf, syncDirectory, writePrivate } from '../data/data-directory.ts'
import { troubleOf } from '../store/disk-failure.ts'
import { type Row, rowsOf, streamOf } from '../store/rows.ts'
import { RELAY_VERSION } from '../version.ts'
import { type Manifest, manifestPath } from './manifest.ts'
import { openDatabase, writeRows } from './write-rows.ts'

/**
 * A copy of a relay at one moment, while it runs or not. The rows of its database come through the relay itself, which
 * alone may open it, and are written by whoever asks: the relay needs no right to write anywhere else. The folder
 * appears under its name when it is whole.
 */
export async function makeBackup(
  data: DataDirectory,
  folder: string,
  options: { readonly withKey: boolean; readonly nowMs: number },
): Promise<Manifest> {
  const to = resolve(folder)
  if (!existsSync(data.database))
    throw new Failure('HOME_UNUSABLE', `There is no relay in ${data.path}.`, { next: 'name its directory: --data DIR' })
  await refuseFull(to)
  const partial = dataDirectory(`${to}.partial`, {})
  try {
    await rm(partial.path, { recursive: true, force: true })
    await mkdir(partial.path, { recursive: true, mode: 0o700 })
    const written = await writeRows(partial.database, await rowsNow(data))
    await cp(data.meshes, partial.meshes, { recursive: true })
    await copyIfThere(data.config, partial.config)
    if (options.withKey) {
      await copyFile(data.key, partial.key)
      await copyIfThere(data.tlsKey, partial.tlsKey)
      await copyIfThere(data.tlsCertificate, partial.tlsCertificate)
    }
    const manifest: Manifest = {
      format: 1,
      version: RELAY_VERSION,
      madeMs: options.nowMs,
      ...written,
      withKey: options.withKey,
    }
    await writePrivate(manifestPath(partial.path), `${JSON.stringify(manifest)}\n`)
    await rm(to, { recursive: true, force: true })
    await rename(partial.path, to)
    await syncDirectory(dirname(to))
    return manifest
  } catch (error) {
    await rm(partial.path, { recursive: true, force: true })
    throw translated(error, to)
  }
}

/** Of the relay that runs; else of the database itself. */
async function rowsNow(data: DataDirectory): Promise<AsyncGenerator<readonly Row[], string>> {
  try {
    return rowsOf(await openRelay(data, '/backup'))
  } catch (error) {
    if (!(error instanceof Failure && error.code === 'RELAY_UNREACHABLE')) throw error
  }
  return rowsAtRest(data)
}

async function* rowsAtRest(data: DataDirectory): AsyncGenerator<readonly Row[], string> {
  const db = await openDatabase(data.database, false)
  try {
    return yield* rowsOf(streamOf(db))
  } finally {
    await db.close()
  }
}

/** An empty folder is as good as none. */
async function refuseFull(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return []
    throw translated(error, folder)
  })
  if (names.length === 0) return
  throw new Failure('FILE_EXISTS', `There is something in ${folder} already.`, { next: 'name a new folder' })
}

async function copyIfThere(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

function translated(error: unknown, folder: string): Failure {
  if (error instanceof Failure) return error
  const errno = errnoOf(error)
  if (troubleOf(error) === 'DISK_FULL')
    return new Failure('DISK_FULL', `There is no space for ${folder}.`, { cause: error, next: 'name another folder' })
  if (errno === 'ECONNRESET')
    return new Failure('RELAY_CLOSED', 'The relay ended while it was copied.', {
      cause: error,
      next: 'the same again: nothing was left behind',
    })
  return new Failure('HOME_UNUSABLE', `The backup cannot be made in ${folder} (${errno ?? 'unknown error'}).`, {
    cause: error,
    next: 'name another folder, and run it as the relay’s user or as root',
  })
}

import { constants, type Stats } from 'node:fs'
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { troubleOf } from '../store/disk-failure.ts'

/** Where a relay keeps its key, its certificate, its open claim codes, the meshes that it has let in and its database: a directory of its own, 0700. */
export interface DataDirectory {
  readonly path: string
  readonly key: string
  readonly tlsKey: string
  readonly tlsCertificate: string
  readonly claims: string
  readonly meshes: string
  readonly database: string
  readonly config: string
  /** What a running relay says of itself, for `status`. */
  readonly running: string
}

export function dataDirectory(flag: string | undefined, env: NodeJS.ProcessEnv): DataDirectory {
  const share = env['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share')
  const path = resolve(flag ?? env['SEALMESH_RELAY_DATA'] ?? join(share, 'sealmesh-relay'))
  return {
    path,
    key: join(path, 'relay.key'),
    tlsKey: join(path, 'tls.key'),
    tlsCertificate: join(path, 'tls.crt'),
    claims: join(path, 'claims'),
    meshes: join(path, 'meshes'),
    database: join(path, 'db'),
    config: join(path, 'relay.toml'),
    running: join(path, 'running.json'),
  }
}

/** Makes what is missing; refuses what others can read. */
export async function prepareDataDirectory(data: DataDirectory): Promise<void> {
  try {
    await mkdir(data.path, { recursive: true, mode: 0o700 })
    await mkdir(data.claims, { recursive: true, mode: 0o700 })
    await mkdir(data.meshes, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw unusable(data.path, error)
  }
  for (const path of [data.path, data.claims, data.meshes]) refuseWide(path, await stat(path))
}

/** The text of a private file, or undefined when there is none. Refuses one that others can read. */
export async function readPrivate(path: string): Promise<string | undefined> {
  try {
    refuseWide(path, await stat(path))
    return await readFile(path, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    if (error instanceof Failure) throw error
    throw unusable(path, error)
  }
}

/** Old or new content after a power cut, never half: written beside, fsynced, renamed, and the directory fsynced. */
export async function writePrivate(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`
  try {
    const file = await open(temporary, constants.O_CREAT | constants.O_TRUNC | constants.O_WRONLY, 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true })
    throw unusable(path, error)
  }
}

/** Makes the names in it, and renames among them, survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  // Windows has no handle for a directory, and journals names itself.
  if (process.platform === 'win32') return
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

function refuseWide(path: string, stats: Stats): void {
  if (process.platform === 'win32' || (stats.mode & 0o077) === 0) return
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
  throw new Failure('MODES_TOO_WIDE', `Other users of this machine can reach ${path} (mode ${mode}).`, {
    next: `chmod go= ${path}`,
  })
}

function unusable(path: string, error: unknown): Failure {
  if (error instanceof Failure) return error
  if (troubleOf(error) === 'DISK_FULL')
    return new Failure('DISK_FULL', `There is no space for ${path}.`, {
      cause: error,
      next: 'free some space and run it again',
    })
  const why = errnoOf(error) ?? 'unknown error'
  return new Failure('HOME_UNUSABLE', `The data directory cannot be used: ${path} (${why}).`, {
    cause: error,
    next: 'use another: --data DIR',
  })
}

export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

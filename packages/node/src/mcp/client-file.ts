import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import * as path from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { diskFailure, errnoOf } from '../keys/disk-failure.ts'

/** Another program's configuration file: read, and replaced whole, with its mode and behind the link that it may be. */

/** Its programs keep megabytes there at most; what is longer is something else. */
const BYTES_MAX = 64 * 1_048_576

/** Null: there is none. Throws CLIENT_CONFIG_INVALID for what is no file of text. */
export async function readClientFile(file: string): Promise<string | null> {
  try {
    const found = await stat(file)
    if (!found.isFile() || found.size > BYTES_MAX)
      throw new Failure('CLIENT_CONFIG_INVALID', `${file} is no file that could be a configuration.`)
    const bytes = await readFile(file)
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    if (error instanceof Failure) throw error
    if (errnoOf(error) === 'ENOENT') return await nothingAt(file)
    if (error instanceof TypeError)
      throw new Failure('CLIENT_CONFIG_INVALID', `${file} is no text in UTF-8, and was left alone.`)
    throw diskFailure(error, `reading ${file}`)
  }
}

/** A link that leads nowhere is not replaced: it may lead to a disk that is not mounted at this moment. */
async function nothingAt(file: string): Promise<null> {
  const isLink = await lstat(file).then(
    (found) => found.isSymbolicLink(),
    () => false,
  )
  if (!isLink) return null
  throw new Failure('CLIENT_CONFIG_INVALID', `${file} is a link that leads nowhere, and was left alone.`)
}

/** Refuses when the file is not what it was when `before` was read: its program writes to it as well. */
export async function replaceClientFile(file: string, before: string | null, after: string | null): Promise<void> {
  if (after === null) {
    await requireUnchanged(file, before)
    return rm(file).catch((error: unknown) => {
      throw diskFailure(error, `removing ${file}`)
    })
  }
  let temporary: string | undefined
  try {
    await mkdir(path.dirname(file), { recursive: true })
    // What a link leads to is replaced, not the link.
    const target = before === null ? file : await realpath(file)
    const mode = before === null ? 0o600 : (await stat(target)).mode & 0o777
    temporary = `${target}.${createHash('sha256').update(after).digest('hex').slice(0, 12)}.new`
    await writeFile(temporary, after, { mode, flush: true })
    await chmod(temporary, mode)
    // Looked at last: what takes long, the disk, is behind us.
    await requireUnchanged(file, before)
    await rename(temporary, target)
  } catch (error) {
    // It holds all that the file does, another program's secrets among it.
    if (temporary !== undefined) await rm(temporary, { force: true }).catch(() => undefined)
    throw error instanceof Failure ? error : diskFailure(error, `writing ${file}`)
  }
}

async function requireUnchanged(file: string, before: string | null): Promise<void> {
  if ((await readClientFile(file)) !== before)
    throw new Failure('CLIENT_CONFIG_CHANGED', `${file} was changed meanwhile, and was left as it is.`)
}

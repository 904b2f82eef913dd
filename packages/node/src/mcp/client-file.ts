import { createHash } from 'node:crypto'
import { chmod, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import * as path from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { diskFailure, errnoOf } from '../keys/disk-failure.ts'

/** Another program's configuration file: read, and replaced whole, with its mode and behind the link that it may be. */

/** Null: there is none. */
export async function readClientFile(file: string): Promise<string | null> {
  try {
    const bytes = await readFile(file)
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    if (error instanceof TypeError)
      throw new Failure('CLIENT_CONFIG_INVALID', `${file} is no text in UTF-8, and was left alone.`)
    throw diskFailure(error, `reading ${file}`)
  }
}

/** Refuses when the file is not what it was when `before` was read: its program writes to it as well. */
export async function replaceClientFile(file: string, before: string | null, after: string | null): Promise<void> {
  if ((await readClientFile(file)) !== before)
    throw new Failure('CLIENT_CONFIG_CHANGED', `${file} was changed meanwhile, and was left as it is.`)
  try {
    if (after === null) return await rm(file)
    await mkdir(path.dirname(file), { recursive: true })
    // What a link leads to is replaced, not the link.
    const target = before === null ? file : await realpath(file)
    const mode = before === null ? 0o600 : (await stat(target)).mode & 0o777
    const temporary = `${target}.${createHash('sha256').update(after).digest('hex').slice(0, 12)}.new`
    await writeFile(temporary, after, { mode, flush: true })
    await chmod(temporary, mode)
    await rename(temporary, target)
  } catch (error) {
    throw diskFailure(error, `writing ${file}`)
  }
}

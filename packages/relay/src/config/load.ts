import { open } from 'node:fs/promises'
import { Failure } from '@sealmesh/protocol/errors'
import { errnoOf } from '../data/data-directory.ts'
import { checkConfig, inWords, type Problem } from './check.ts'
import { Config } from './schema.ts'

/** A config is a page; more is another file under its name. */
const CONFIG_BYTES_MAX = 1_048_576
const PROBLEMS_SHOWN = 20

/** The text of a config file; undefined when there is none. Throws CONFIG_INVALID. */
export async function readConfigText(path: string): Promise<string | undefined> {
  let file
  try {
    file = await open(path, 'r')
    const { size } = await file.stat()
    if (size > CONFIG_BYTES_MAX) throw invalid(path, [`${path} is larger than a config may be.`])
    return await file.readFile('utf8')
  } catch (error) {
    if (error instanceof Failure) throw error
    // Whoever needs the directory says what is wrong with it.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined
    throw invalid(path, [`${path} cannot be read (${errnoOf(error) ?? 'unknown error'}).`], error)
  } finally {
    await file?.close()
  }
}

/**
 * What the file says. One that its owner has named must be there.
 * Throws CONFIG_INVALID, which names file, line and key, or FILE_NOT_FOUND.
 */
export async function loadConfig(path: string, isNamed: boolean): Promise<Config> {
  const text = await readConfigText(path)
  if (text === undefined) {
    if (!isNamed) return Config.parse({})
    throw new Failure('FILE_NOT_FOUND', `There is no config at ${path}.`, {
      next: `sealmesh-relay config init --config ${path}`,
    })
  }
  const checked = checkConfig(text)
  if (checked.ok) return checked.value
  throw configFailure(path, checked.error)
}

export function configFailure(path: string, problems: readonly Problem[]): Failure {
  const lines = problems.slice(0, PROBLEMS_SHOWN).map((problem) => `${path}:${inWords(problem)}`)
  return invalid(path, ['The config cannot be used.', ...lines])
}

const invalid = (path: string, lines: readonly string[], cause?: unknown): Failure =>
  new Failure('CONFIG_INVALID', lines.join('\n'), {
    next: `correct it, then sealmesh-relay config check --config ${path}`,
    ...(cause === undefined ? {} : { cause }),
  })

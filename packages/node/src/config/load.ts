import { readFile } from 'node:fs/promises'
import { Failure } from '@sealmesh/protocol/errors'
import { checkConfig, inWords } from './check.ts'
import { type Config, DEFAULTS } from './schema.ts'

/** A config is a page; more is another file under its name. */
const CONFIG_BYTES_MAX = 1_048_576

/** The text of a config file; undefined when there is none. */
export async function readConfigText(path: string): Promise<string | undefined> {
  try {
    const bytes = await readFile(path)
    if (bytes.length > CONFIG_BYTES_MAX) throw new Failure('CONFIG_INVALID', `${path} is larger than a config may be.`)
    return bytes.toString('utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    if (error instanceof Failure) throw error
    throw new Failure('CONFIG_INVALID', `${path} cannot be read.`, { cause: error })
  }
}

/** What the file says, with defaults for what it does not. Throws CONFIG_INVALID, which names line and column. */
export async function loadConfig(path: string): Promise<Config> {
  const text = await readConfigText(path)
  if (text === undefined) return DEFAULTS
  const checked = checkConfig(text)
  if (checked.ok) return checked.value
  const lines = checked.error.problems.map((problem) => `${path}:${inWords(problem)}`)
  throw new Failure('CONFIG_INVALID', `The config cannot be used.\n${lines.slice(0, PROBLEMS_SHOWN).join('\n')}`)
}

const PROBLEMS_SHOWN = 20

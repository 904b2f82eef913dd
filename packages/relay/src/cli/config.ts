import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { checkConfig, inWords } from '../config/check.ts'
import { configFailure, loadConfig, readConfigText } from '../config/load.ts'
import { jsonSchemaText } from '../config/json-schema.ts'
import { configOf, settingsOf } from '../config/settings.ts'
import { configTemplate } from '../config/template.ts'
import { errnoOf } from '../data/data-directory.ts'
import { giveToOwnerOf } from '../data/ownership.ts'
import { type CommonFlags, configPathOf, schemaPathBeside } from './flags.ts'
import { Output } from './output.ts'

/** A config with every key in it, and the schema for editors beside it. Overwrites no config. */
export async function init(flags: CommonFlags): Promise<void> {
  const { path } = configPathOf(flags)
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await writeFile(path, configTemplate(), { flag: 'wx', mode: 0o600 })
    await writeFile(schemaPathBeside(path), jsonSchemaText(), { mode: 0o600 })
    await giveToOwnerOf(dirname(path), path, schemaPathBeside(path))
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'EEXIST')
      throw new Failure('FILE_EXISTS', `There is a config already: ${path}.`, {
        next: 'change it in an editor, or name another: --config FILE',
      })
    throw new Failure('HOME_UNUSABLE', `${path} cannot be written (${errno ?? 'unknown error'}).`, {
      cause: error,
      next: 'name another: --config FILE',
    })
  }
  new Output(flags.json === true).result({ file: path }, `wrote ${path}`)
}

export async function check(flags: CommonFlags): Promise<void> {
  const { path, isNamed } = configPathOf(flags)
  const text = await readConfigText(path)
  if (text === undefined && isNamed) throw new Failure('FILE_NOT_FOUND', `There is no config at ${path}.`)
  const checked = checkConfig(text ?? '')
  const output = new Output(flags.json === true)
  if (!checked.ok) {
    if (output.json) output.result({ file: path, ok: false, problems: checked.error.map(inWords) })
    throw configFailure(path, checked.error)
  }
  // What each key may say is checked; now what they say together.
  settingsOf({}, checked.value, path)
  const said = text === undefined ? `${path} is not there: all is by default` : `${path} is right`
  output.result({ file: path, exists: text !== undefined, ok: true, problems: [] }, said)
}

/** What counts without the command line of `up`. */
export async function show(flags: CommonFlags): Promise<void> {
  const { path, isNamed } = configPathOf(flags)
  const settings = settingsOf({}, await loadConfig(path, isNamed), path)
  const { stringify } = await import('smol-toml')
  const shown = configOf(settings)
  new Output(flags.json === true).result(shown, stringify(shown).trimEnd())
}

export function schema(): void {
  process.stdout.write(jsonSchemaText())
}

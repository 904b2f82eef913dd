import { dirname, join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { connectDoor } from '../ipc/client.ts'
import { findSocket } from '../keys/socket-path.ts'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, type Session, withDoor, withHome } from './session.ts'
import { canAsk } from './terminal.ts'

export const config = (cli: Cli): Command =>
  new Command('config')
    .summary('settings of this node: config.toml')
    .description(
      'Settings: default sharing, names of your own for layers, what the node logs. They live in HOME/config.toml.',
    )
    .addHelpText('after', example('sealmesh config set agents.claude.share.semantic standby'))
    .addCommand(check(cli))
    .addCommand(show(cli))
    .addCommand(setValue(cli))
    .addCommand(unset(cli))
    .addCommand(edit(cli))
    .addCommand(reload(cli))
    .addCommand(schema(cli))

const check = (cli: Cli): Command =>
  new Command('check')
    .summary('say what is wrong, with line and column')
    .description(
      'Reads the config and says of each thing that is wrong where it is and what was expected. Exit code 2: something is.',
    )
    .argument('[file]', "another file than the home's")
    .addHelpText('after', example('sealmesh config check'))
    .action(
      withHome(cli, async ({ home, output, command }, file: string | undefined) => {
        const path = file ?? home.config
        const [{ checkConfig, inWords }, { readConfigText }] = await Promise.all([
          import('../config/check.ts'),
          import('../config/load.ts'),
        ])
        const text = await readConfigText(path)
        if (text === undefined && file !== undefined)
          throw new Failure('FILE_NOT_FOUND', `The file ${path} cannot be read.`)
        const checked = checkConfig(text ?? '')
        const problems = checked.ok ? [] : checked.error.problems
        output.data({ file: path, exists: text !== undefined, ok: checked.ok, problems })
        if (checked.ok)
          return output.print(text === undefined ? `${path} is not there: all is by default` : `${path} is right`)
        throw new Failure(
          'CONFIG_INVALID',
          [`The config cannot be used.`, ...problems.map((each) => `${path}:${oneLine(inWords(each), 200)}`)].join(
            '\n',
          ),
          { next: command('config edit') },
        )
      }),
    )

const show = (cli: Cli): Command =>
  new Command('show')
    .summary('print what counts, defaults included')
    .description('Prints every setting as it counts: what the file says, and the defaults for what it does not.')
    .addHelpText('after', example('sealmesh config show --json'))
    .action(
      withHome(cli, async ({ home, output }) => {
        const [{ loadConfig }, { stringify }] = await Promise.all([import('../config/load.ts'), import('smol-toml')])
        const values = await loadConfig(home.config)
        output.data(values)
        output.print(stringify(values).trimEnd())
      }),
    )

const setValue = (cli: Cli): Command =>
  new Command('set')
    .summary('change one setting, and keep the comments')
    .description('Writes one value into the config. Refused, and nothing changed, when the schema does not take it.')
    .argument('<key>', 'such as node.log_level')
    .argument('<value>', 'a word, or a value of TOML such as \'["standby", "office:write"]\'')
    .addHelpText('after', example('sealmesh config set agents.claude.share.semantic standby'))
    .action(
      withHome(cli, async (session, key: string, value: string) => {
        const { withValue } = await import('../config/edit.ts')
        await rewriteConfig(session, (text) => withValue(text, key, value))
      }),
    )

const unset = (cli: Cli): Command =>
  new Command('unset')
    .summary('take one setting out, so that its default counts')
    .description('Takes one key out of the config. Grants that a default made stay: `share set` ends them.')
    .argument('<key>', 'such as node.log_level')
    .addHelpText('after', example('sealmesh config unset node.log_level'))
    .action(
      withHome(cli, async (session, key: string) => {
        const { withoutValue } = await import('../config/edit.ts')
        await rewriteConfig(session, (text) => withoutValue(text, key))
      }),
    )

const edit = (cli: Cli): Command =>
  new Command('edit')
    .summary('change the config in $EDITOR')
    .description('Opens the config in $EDITOR, and takes what you leave there if the schema takes it.')
    .addHelpText('after', example('sealmesh config edit'))
    .action(
      withHome(cli, async (session) => {
        if (!canAsk(session.terminal))
          throw new Failure('USAGE', 'Editing wants a terminal.', { next: session.command('config set KEY VALUE') })
        const [{ editInEditor }, { checkConfig, inWords }, { writeDurably }] = await Promise.all([
          import('./editor.ts'),
          import('../config/check.ts'),
          import('../keys/durable-file.ts'),
        ])
        await rewriteConfig(session, async (text) => {
          const edited = await editInEditor(session, text, 'config.toml')
          const checked = checkConfig(edited)
          if (checked.ok) return edited
          const draft = `${session.home.config}.draft`
          await writeDurably(draft, edited)
          const problems = checked.error.problems.map((each) => `${draft}:${oneLine(inWords(each), 200)}`)
          throw new Failure(
            'CONFIG_INVALID',
            ['The config is as it was; what you wrote is kept.', ...problems].join('\n'),
            {
              next: session.command(`config check ${draft}`),
            },
          )
        })
      }),
    )

const reload = (cli: Cli): Command =>
  new Command('reload')
    .summary('let the running node read its config again')
    .description(
      'The node reads its config again; one that cannot be used leaves the old one in force. SIGHUP does the same to a node that has no terminal.',
    )
    .addHelpText('after', example('sealmesh config reload'))
    .action(
      withDoor(cli, async ({ door, output }) => {
        const { waiting } = await door.call('config.reload', {})
        output.data({ waiting })
        output.hint('the node has read its config again')
        for (const each of waiting) output.say(`waits for somebody of that name: ${oneLine(each)}`)
      }),
    )

const schema = (cli: Cli): Command =>
  new Command('schema')
    .summary('print the JSON Schema of the config')
    .description(
      'Prints the JSON Schema that editors check a config with: one with a `#:schema` line finds it by itself.',
    )
    .addHelpText('after', example('sealmesh config schema > config.schema.json'))
    .action(
      withHome(cli, async ({ output }) => {
        const { jsonSchema, jsonSchemaText } = await import('../config/json-schema.ts')
        output.data(jsonSchema())
        output.print(jsonSchemaText().trimEnd())
      }),
    )

/** Writes the config anew, whole or not at all, with its schema beside it, and tells a running node. */
export async function rewriteConfig(
  session: Session,
  change: (text: string) => string | Promise<string>,
): Promise<void> {
  const { home, output } = session
  const [{ readConfigText }, { NEW_CONFIG }, { jsonSchemaText }, { makePrivateDirectory, writeDurably }] =
    await Promise.all([
      import('../config/load.ts'),
      import('../config/edit.ts'),
      import('../config/json-schema.ts'),
      import('../keys/durable-file.ts'),
    ])
  const before = await readConfigText(home.config)
  await makePrivateDirectory(home.run)
  const after = await change(before ?? NEW_CONFIG)
  if (after === before) return output.hint('nothing to change')
  await writeDurably(join(dirname(home.config), 'config.schema.json'), jsonSchemaText())
  await writeDurably(home.config, after)
  output.data({ file: home.config, reloaded: await tellNode(session) })
  output.hint(`wrote ${home.config}`)
}

/** False when no node runs: it reads the file when it starts. */
async function tellNode({ home, output }: Session): Promise<boolean> {
  try {
    const door = await connectDoor(await findSocket(home))
    try {
      const { waiting } = await door.call('config.reload', {})
      for (const each of waiting) output.say(`waits for somebody of that name: ${oneLine(each)}`)
      return true
    } finally {
      await door.close()
    }
  } catch (error) {
    if (error instanceof Failure && error.code === 'NODE_NOT_RUNNING') return false
    throw error
  }
}

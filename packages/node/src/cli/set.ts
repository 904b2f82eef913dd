import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { example } from './example.ts'
import { readInput, withoutLastLineBreak } from './input.ts'
import { type LevelOptions, tellLevel, waitingOf, withLevel } from './level-option.ts'
import { type Cli, withDoor } from './session.ts'
import { checkUmr } from './umr.ts'

interface Options extends LevelOptions {
  readonly rawJson?: boolean
  readonly tag: string[]
  readonly newLayer?: boolean
}

export const set = (cli: Cli): Command =>
  withLevel(new Command('set'))
    .summary('write a register')
    .description('Writes a register: kept as text unless --raw-json says that VALUE is JSON. Durable when it returns.')
    .argument('<umr>', 'agent.layer.id')
    .argument('<value>', 'the value, or - to read it from standard input')
    .option('--raw-json', 'VALUE is JSON')
    .option('--tag <tag>', 'for the diary: a tag that may leave this machine (repeatable)', collect, [])
    .option('--new-layer', 'a layer whose name is close to that of another is meant')
    .addHelpText('after', example('sealmesh set claude.semantic.deploy-day Tuesday'))
    .action(
      withDoor(cli, async (session, umr: string, given: string, options: Options) => {
        const { door, output, terminal } = session
        checkUmr(umr)
        const value = given === '-' ? await readInput(terminal) : given
        const json = options.rawJson === true ? checkedJson(value) : JSON.stringify(withoutInputEnd(value, given))
        const written = await door.call('set', {
          umr,
          value: json,
          tags: options.tag,
          newLayer: options.newLayer === true,
          ...waitingOf(options),
        })
        output.data(written)
        output.hint(`set ${written.umr}`)
        tellLevel(session, written.acknowledged, options.wait)
      }),
    )

const withoutInputEnd = (value: string, given: string): string => (given === '-' ? withoutLastLineBreak(value) : value)

/** As it was written: parsing and printing it again would change large numbers. */
function checkedJson(text: string): string {
  try {
    JSON.parse(text)
    return text.trim()
  } catch {
    throw new Failure('VALUE_INVALID', 'The value is not JSON.')
  }
}

const collect = (tag: string, tags: string[]): string[] => [...tags, tag]

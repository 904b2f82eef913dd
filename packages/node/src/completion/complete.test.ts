import { Argument, Command, Option } from 'commander'
import { expect, test } from 'vitest'
import { complete } from './complete.ts'

const program = (): Command =>
  new Command('p')
    .option('--home <dir>', 'where')
    .addCommand(
      new Command('vote')
        .addCommand(
          new Command('call')
            .argument('<agents...>')
            .option('--quorum <n>', 'how many')
            .addOption(new Option('--rule <rule>').choices(['most', 'half'])),
          { isDefault: true },
        )
        .addCommand(new Command('cast').summary('to vote').argument('<id>').option('--to <agent>').option('--quick'))
        .addCommand(new Command('secret'), { hidden: true }),
    )
    .addCommand(new Command('add').argument('<name>').option('--standby <node...>').argument('[umr]'))
    .addCommand(new Command('install').addArgument(new Argument('<client>').choices(['codex', 'cursor'])))

const words = (line: string): readonly string[] =>
  complete(program(), line.split(' ')).candidates.map(({ word }) => word)
const kinds = (line: string) => complete(program(), line.split(' ')).kinds

test.each<[string, readonly string[]]>([
  ['', ['vote', 'add', 'install']],
  ['vo', ['vote']],
  ['--home /x vo', ['vote']],
  ['--home=/x vo', ['vote']],
  ['vote ', ['call', 'cast']],
  ['vote cast --q', ['--quick']],
  ['vote cast --', ['--to', '--quick', '--help', '--home']],
  ['vote call --rule ', ['most', 'half']],
  ['vote call --rule h', ['half']],
  ['vote cast x c', []],
  ['vote cast -- --', []],
  ['install c', ['codex', 'cursor']],
  ['nothing ', []],
])('%j is completed by what the verbs say of themselves', (line, expected) => {
  expect(words(line)).toEqual(expected)
})

test('where a name stands that only the node knows, its kind is said', () => {
  expect(kinds('vote ')).toEqual(['agent'])
  expect(kinds('vote call ada bob c')).toEqual(['agent'])
  expect(kinds('vote cast x --to ')).toEqual(['agent'])
  expect(kinds('add x --standby ')).toEqual(['node'])
  expect(kinds('add x --standby one ')).toEqual(['node'])
  expect(kinds('add x --standby one --home /h ')).toEqual(['umr'])
  expect(kinds('add ')).toEqual([])
})

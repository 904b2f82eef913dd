import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { shellWord } from '../keys/modes.ts'
import { example } from './example.ts'
import { plain } from './get.ts'
import { readInput, withoutLastLineBreak } from './input.ts'
import { MARKERS, mergeFile, mergedJson, speaksJson } from './merge-file.ts'
import { oneLine } from './printable.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { canAsk } from './terminal.ts'
import { checkUmr } from './umr.ts'
import { moment } from './when.ts'

type Shown = MethodResult<'conflicts.show'>
type Sibling = Shown['siblings'][number]

const WRITE_SHOWN = 12 // Characters of a hash: enough to name one of at most sixteen.
const VALUE_CHARACTERS_MAX = 72

export const conflicts = (cli: Cli): Command =>
  new Command('conflicts')
    .summary('values that were written at the same time, and choosing one')
    .description(
      'Two machines wrote the same register without knowing of each other: both values are kept until you choose.',
    )
    .addHelpText('after', example('sealmesh conflicts show claude.semantic.deploy-day'))
    .addCommand(list(cli))
    .addCommand(show(cli))
    .addCommand(keep(cli))
    .addCommand(merge(cli))

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('list registers with more than one value')
    .description('Lists registers that hold more than one value, with all of them, who wrote each, where and when.')
    .argument('[agent]', 'of this agent only')
    .addHelpText('after', example('sealmesh conflicts ls'))
    .action(
      withDoor(cli, async ({ door, output, command }, agent: string | undefined) => {
        const listing = await door.call('conflicts.ls', agent === undefined ? {} : { agent })
        output.data(listing)
        if (listing.conflicts.length === 0) return output.hint('No conflicts.')
        output.table(
          [{ title: 'UMR' }, ...VALUE_COLUMNS],
          listing.conflicts.flatMap(({ umr, values, more }) => [
            ...values.map((value, at) => [at === 0 ? umr : '', ...valueCells(value)]),
            ...(more > 0 ? [['', '', '', '', '', '', `and ${more} older ones`]] : []),
          ]),
        )
        if (listing.truncated) output.hint('There are more: name an agent.')
        output.hint(`Next: ${command('conflicts show UMR')}`)
      }),
    )

const show = (cli: Cli): Command =>
  new Command('show')
    .summary('show all values of a register, and who wrote each')
    .description(
      'Shows all values that a register holds, who wrote each, on which machine and when. The first is what `get` prints.',
    )
    .argument('<umr>', 'agent.layer.id')
    .addHelpText('after', example('sealmesh conflicts show claude.semantic.deploy-day'))
    .action(
      withDoor(cli, async ({ door, output, command }, umr: string) => {
        checkUmr(umr)
        const found = await door.call('conflicts.show', { umr })
        output.data(found)
        output.table(VALUE_COLUMNS, found.siblings.map(valueCells))
        if (found.more > 0)
          output.hint(`${found.more} older ones are not shown; they come up when these have been settled`)
        if (!found.conflict) return output.hint('No conflict: there is one value.')
        const seen = `--seen ${found.seen.map((write) => write.slice(0, WRITE_SHOWN)).join(',')}`
        output.hint(`Next: ${command(`conflicts keep ${shellWord(found.umr)} WRITE ${seen}`)}`)
        output.hint(`  or: ${command(`conflicts merge ${shellWord(found.umr)} VALUE ${seen}`)}`)
      }),
    )

interface SeenOption {
  readonly seen?: string
}
const SEEN = [
  '--seen <writes>',
  'the writes that you looked at, with commas: what came since is left alone (default: all that are there now)',
] as const

const keep = (cli: Cli): Command =>
  new Command('keep')
    .summary('keep one value and replace the others')
    .description('Keeps one of the values and replaces all the others that you saw, everywhere.')
    .argument('<umr>', 'agent.layer.id')
    .argument('<write>', 'the WRITE that `conflicts show` prints, or its beginning')
    .option(...SEEN)
    .addHelpText('after', example('sealmesh conflicts keep claude.semantic.deploy-day 3fa2b1c90d11'))
    .action(
      withDoor(cli, async (session, umr: string, beginning: string, options: SeenOption) => {
        checkUmr(umr)
        const { door, output, command } = session
        const found = await door.call('conflicts.show', { umr })
        const matching = found.siblings.filter(({ origin, also }) =>
          [origin, ...also].some(({ write }) => write.startsWith(beginning.toLowerCase())),
        )
        const [chosen] = matching
        if (chosen === undefined || matching.length > 1)
          throw new Failure(
            'CONFLICT_NOT_FOUND',
            chosen === undefined
              ? 'None of its values has a write that begins so.'
              : 'More than one of its values has a write that begins so.',
            { next: command(`conflicts show ${umr}`) },
          )
        const seen = seenOf(session, found, options)
        const written = await door.call('conflicts.keep', { umr, write: chosen.origin.write, seen })
        output.data(written)
        output.hint(`kept what ${oneLine(chosen.origin.nodeName)} wrote`)
        tellReplaced(session, written, chosen.value)
      }),
    )

const merge = (cli: Cli): Command =>
  new Command('merge')
    .summary('write one value in place of all of them')
    .description(
      'Writes one value in place of all that you saw. Without VALUE your $EDITOR opens with all of them. Where the values are JSON, VALUE is JSON; where they are text, it is kept as text.',
    )
    .argument('<umr>', 'agent.layer.id')
    .argument('[value]', 'the value, or - to read it from standard input')
    .option('--raw-json', 'VALUE is JSON, whatever the values are')
    .option(...SEEN)
    .addHelpText('after', example('sealmesh conflicts merge claude.semantic.deploy-day "Tuesday, at noon"'))
    .action(
      withDoor(
        cli,
        async (session, umr: string, given: string | undefined, options: SeenOption & { rawJson?: boolean }) => {
          checkUmr(umr)
          const { door, output, terminal } = session
          const found = await door.call('conflicts.show', { umr })
          const seen = seenOf(session, found, options)
          const asJson = options.rawJson === true || speaksJson(found.siblings)
          let text: string
          if (given !== undefined && given !== '-') text = given
          else if (given === undefined && canAsk(terminal)) text = await edited(session, found)
          else text = withoutLastLineBreak(await readInput(terminal))
          if (text === '' && given !== '')
            throw new Failure('USAGE', 'Nothing was given, and nothing was changed.', {
              next: 'give it a value; "" makes it empty on purpose',
            })
          const written = await door.call('conflicts.merge', { umr, value: mergedJson(text, asJson), seen })
          output.data(written)
          output.hint(`merged ${oneLine(written.umr)}`)
          tellReplaced(session, written, undefined)
        },
      ),
    )

async function edited(session: DoorSession, found: Shown): Promise<string> {
  const { editInEditor } = await import('./editor.ts')
  const text = withoutLastLineBreak(await editInEditor(session, mergeFile(found.siblings)))
  if (text.split('\n').some((line) => MARKERS.some((marker) => line.startsWith(marker))))
    throw new Failure('USAGE', 'The lines that mark the values are still there, and nothing was changed.', {
      next: 'leave only the value that you want',
    })
  return text
}

/** Without `--seen` it is what this command has just been shown; with it, all of that must still be there. */
function seenOf({ command }: DoorSession, found: Shown, { seen }: SeenOption): string[] {
  if (seen === undefined) return found.seen
  return seen.split(',').map((beginning) => {
    const matching = found.seen.filter((write) => beginning !== '' && write.startsWith(beginning.toLowerCase()))
    if (matching[0] !== undefined && matching.length === 1) return matching[0]
    throw new Failure('CONFLICT_CHANGED', 'One of the writes that you looked at is not there any more.', {
      next: command(`conflicts show ${found.umr}`),
    })
  })
}

/** What is gone from sight is named, so that nothing is settled in silence. */
function tellReplaced(
  { output, command }: DoorSession,
  written: MethodResult<'conflicts.merge'>,
  kept?: string | null,
) {
  for (const { value, origin } of written.replaced)
    if (value !== kept)
      output.hint(
        `replaced ${value === null ? 'a delete' : oneLine(plain(value), VALUE_CHARACTERS_MAX)} by ${oneLine(origin.writer)} on ${oneLine(origin.nodeName)}, ${moment(origin.at)}`,
      )
  if (written.left > 0)
    output.hint(
      `${written.left} more ${written.left === 1 ? 'value is' : 'values are'} beside it: ${command(`conflicts show ${written.umr}`)}`,
    )
}

const VALUE_COLUMNS = [
  { title: 'WRITE' },
  { title: 'BY' },
  { title: 'ON' },
  { title: 'AT' },
  { title: '' },
  { title: 'VALUE' },
] as const

function valueCells({ origin, also, value, winner }: Sibling): string[] {
  const machines = [...new Set([origin, ...also].map(({ nodeName }) => nodeName))]
  return [
    origin.write.slice(0, WRITE_SHOWN),
    origin.writer,
    machines.join(', '),
    moment(origin.at),
    winner ? 'shown' : '',
    value === null ? '(deleted)' : oneLine(plain(value), VALUE_CHARACTERS_MAX),
  ]
}

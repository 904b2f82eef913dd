import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { shellWord } from '../keys/modes.ts'
import { example } from './example.ts'
import { readInput, readTextFile } from './input.ts'
import { type LevelOptions, tellLevel, waitingOf, withLevel } from './level-option.ts'
import { oneLine } from './printable.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { canAsk } from './terminal.ts'
import { checkUmr } from './umr.ts'
import { ago } from './when.ts'

interface EditOptions extends LevelOptions {
  readonly file?: string
  readonly empty?: boolean
  readonly newLayer?: boolean
}

export const text = (cli: Cli): Command =>
  new Command('text')
    .summary('read and edit texts, which merge')
    .description('Texts: prose that several machines may edit at once. Edits merge character by character.')
    .addHelpText('after', example('sealmesh text edit claude.procedural.release-notes'))
    .addCommand(getText(cli))
    .addCommand(edit(cli))
    .addCommand(who(cli))

const getText = (cli: Cli): Command =>
  new Command('get')
    .summary('print a text')
    .description('Prints a text as it is. Exit code 5: there is none.')
    .argument('<umr>', 'agent.layer.id')
    .addHelpText('after', example('sealmesh text get claude.procedural.release-notes > notes.md'))
    .action(
      withDoor(cli, async ({ door, output, command }, umr: string) => {
        checkUmr(umr)
        const { item } = await door.call('get', { umr })
        if (item === null) throw new Failure('ITEM_NOT_FOUND', 'There is no such text here.', { next: command('ls') })
        if (item.type !== 'text')
          throw new Failure('ITEM_NOT_FOUND', `That is a ${item.type}, not a text.`, { next: command(`get ${umr}`) })
        output.data(item)
        output.content(item.text, { endLine: false })
      }),
    )

const edit = (cli: Cli): Command =>
  withLevel(new Command('edit'))
    .summary('change a text, or write a new one')
    .description(
      'Makes a text read like FILE, like standard input, or as you leave it in $EDITOR. Only the difference is written, so that what others change meanwhile stays.',
    )
    .argument('<umr>', 'agent.layer.id')
    .option('--file <file>', 'take the new content from a file (- is standard input)')
    .option('--empty', 'empty it: nothing on standard input is taken for a slip')
    .option('--new-layer', 'a layer whose name is close to that of another is meant')
    .addHelpText('after', example('sealmesh text edit claude.procedural.release-notes --file notes.md'))
    .action(
      withDoor(cli, async (session, umr: string, options: EditOptions) => {
        checkUmr(umr)
        if (options.empty === true && options.file !== undefined)
          throw new Failure('USAGE', 'Say --file or --empty, not both.', { next: session.command('text edit --help') })
        // Only this verb needs Yjs, which takes longer to load than all the rest.
        const { openText } = await import('./text-session.ts')
        // Others see it for as long as this connection lives.
        const { others } = await session.door.call('text.editing', { umr })
        if (others.length > 0) session.output.say(`also edited by ${others.map(nameOf).join(', ')}: edits merge`)
        const open = await openText(session.door, umr, options.newLayer === true)
        const wanted = await wantedText(session, umr, open.text, options)
        const { write, acknowledged } = await open.save(wanted, waitingOf(options))
        session.output.data({ umr, write, changed: write !== null, ...(acknowledged && { acknowledged }) })
        session.output.hint(write === null ? 'nothing to change' : `edited ${umr}`)
        tellLevel(session, acknowledged, options.wait)
      }),
    )

const who = (cli: Cli): Command =>
  new Command('who')
    .summary('who is editing a text')
    .description('Lists who edits a text now, on this machine and on others that may read it.')
    .argument('<umr>', 'agent.layer.id')
    .addHelpText('after', example('sealmesh text who claude.procedural.release-notes'))
    .action(
      withDoor(cli, async ({ door, output }, umr: string) => {
        checkUmr(umr)
        const said = await door.call('text.who', { umr })
        output.data(said)
        if (said.editors.length === 0) return output.hint('Nobody is editing it.')
        const nowMs = Date.now()
        output.table(
          [{ title: 'NODE' }, { title: 'AGENT' }, { title: 'CURSOR' }, { title: 'LAST SAID' }],
          said.editors.map((editor) => [
            editor.here ? `${editor.nodeName} (here)` : editor.nodeName,
            editor.agent ?? '-',
            editor.cursor === null ? '-' : String(editor.cursor.head),
            ago(editor.at, nowMs),
          ]),
        )
      }),
    )

const nameOf = ({ agent, nodeName }: { agent: string | null; nodeName: string }): string =>
  agent === null ? oneLine(nodeName) : `${oneLine(agent)} on ${oneLine(nodeName)}`

async function wantedText(session: DoorSession, umr: string, text: string, options: EditOptions): Promise<string> {
  if (options.empty === true) return ''
  const { file } = options
  if (file === undefined && canAsk(session.terminal)) {
    const { editInEditor } = await import('./editor.ts')
    return await editInEditor(session, text)
  }
  const fromInput = file === undefined || file === '-'
  const wanted = fromInput ? await readInput(session.terminal) : await readTextFile(file)
  // A job without a terminal has an empty standard input, and would erase the text on every machine.
  if (wanted === '')
    throw new Failure(
      'USAGE',
      fromInput
        ? 'Nothing was given on standard input, and nothing was changed.'
        : 'The file is empty, and nothing was changed.',
      { next: `give it content; or ${session.command(`text edit ${shellWord(umr)} --empty`)} empties it on purpose` },
    )
  return wanted
}

import { resolve } from 'node:path'
import { isName } from '@sealmesh/protocol/ids'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { example } from './example.ts'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'
import { count } from './status.ts'
import { moment } from './when.ts'

/** Of what may be very many, for people; `--json` has more. */
const SHOWN = 10
const FOLDER = 'its agent, AGENT.LAYER or its path'

type View = MethodResult<'folder.ls'>['folders'][number]
type Details = MethodResult<'folder.status'>['folders'][number]

export const folder = (cli: Cli): Command =>
  new Command('folder')
    .summary('mirror a folder of files between machines')
    .description(
      'Mirrors a folder both ways while the node runs: text merges, programs and secrets stay out, deletions go to a trash.',
    )
    .addHelpText('after', example('sealmesh folder add claude ~/notes'))
    .addCommand(add(cli))
    .addCommand(list(cli))
    .addCommand(status(cli))
    .addCommand(remove(cli))
    .addCommand(confirm(cli))
    .addCommand(log(cli))
    .addCommand(trash(cli))

const add = (cli: Cli): Command =>
  new Command('add')
    .summary('mirror a folder, or allow more of its files')
    .description('Mirrors a folder into a layer of an agent. Files that both sides have are merged; none is deleted.')
    .argument('<agent>', 'the agent whose layer it becomes')
    .argument('<path>', 'the folder on this machine')
    .option('--layer <layer>', 'the layer', 'files')
    .option('--new-layer', 'a layer whose name is close to that of another is meant')
    .option(
      '--allow <file...>',
      'mirror this file although it could be run or hold a secret; a path from the folder on',
    )
    .addHelpText(
      'after',
      example('sealmesh folder add claude ~/notes', 'sealmesh folder add claude ~/notes --allow bin/go.sh'),
    )
    .action(
      withDoor(
        cli,
        async (
          { door, output, command },
          agent: string,
          path: string,
          options: { layer: string; allow?: readonly string[]; newLayer?: boolean },
        ) => {
          const { layer, newLayer = false } = options
          const params = { agent, layer, newLayer, path: resolve(path), allow: [...(options.allow ?? [])] }
          const view = await door.call('folder.add', params)
          output.data(view)
          output.print(`${oneLine(view.path)}  ${oneLine(`${view.agent}.${view.layer}`)}  ${count(view.files, 'file')}`)
          if (view.refused > 0)
            output.hint(`${count(view.refused, 'file')} not mirrored: ${command('folder status')} says why`)
          output.hint(sharing(view, command))
        },
      ),
    )

function sharing({ agent, layer, sharedWith, holder }: View, command: (words: string) => string): string {
  if (sharedWith.length > 0) return `Shared with ${sharedWith.map((name) => oneLine(name)).join(', ')}`
  const words = `share set ${oneLine(agent)} ${oneLine(layer)}=standby`
  // Another machine's home is not here.
  return holder === null ? `To share it: ${command(words)}` : `To share it, on ${oneLine(holder)}: sealmesh ${words}`
}

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('list mirrored folders')
    .description('Lists the folders of this machine that are mirrored.')
    .addHelpText('after', example('sealmesh folder ls'))
    .action(
      withDoor(cli, async ({ door, output, command }) => {
        const listing = await door.call('folder.ls', {})
        output.data(listing)
        if (listing.folders.length === 0)
          return output.hint(`No folder is mirrored. ${command('folder add AGENT PATH')} begins`)
        showFolders(output, listing.folders)
      }),
    )

const status = (cli: Cli): Command =>
  new Command('status')
    .summary('what is held, refused or waiting, and where files came from')
    .description('Shows what is held, refused or waiting, with the reason and the next step, and what came from where.')
    .argument('[folder]', FOLDER)
    .addHelpText('after', example('sealmesh folder status claude'))
    .action(
      withDoor(cli, async ({ door, output, command }, name: string | undefined) => {
        const result = await door.call('folder.status', name === undefined ? {} : { folder: folderNamed(name) })
        output.data(result)
        if (result.folders.length === 0)
          return output.hint(`No folder is mirrored. ${command('folder add AGENT PATH')} begins`)
        for (const each of result.folders) showDetails(output, command, each)
      }),
    )

function showDetails(output: Output, command: (words: string) => string, folder: Details): void {
  showFolders(output, [folder])
  const { failure, issues, arrivals } = folder
  if (failure !== null) {
    output.print(`  ${failure.code}: ${oneLine(failure.message)}`)
    if (failure.next !== '') output.print(`           next: ${oneLine(failure.next)}`)
  }
  if (folder.state === 'missing') output.print('  the folder is not there: nothing is deleted anywhere because of that')
  if (!folder.watched) output.print('  the system gave out of watches: it looks every two seconds')
  const held = folder.held.here + folder.held.elsewhere
  const others = issues.filter(({ type }) => type !== 'held')
  if (held > 0) {
    output.print('  held: so many deletions at once may be an accident')
    for (const { path, direction } of issues.filter(({ type }) => type === 'held').slice(0, SHOWN))
      output.print(`    ${oneLine(path)}  ${direction === 'out' ? 'deleted here' : 'deleted elsewhere'}`)
    more(output, held - SHOWN)
  }
  for (const { type, path, direction, code, because, next } of others) {
    const where = direction === 'out' ? 'here' : 'from elsewhere'
    output.print(`  ${type.padEnd(8)} ${oneLine(path)}  ${where}  ${code}: ${oneLine(because)}`)
    if (next !== '') output.print(`           next: ${oneLine(next)}`)
  }
  more(output, folder.refused + folder.pending - others.length)
  for (const { path, nodeName, at } of arrivals.slice(0, SHOWN))
    output.print(`  from ${oneLine(nodeName)}  ${moment(at)}  ${oneLine(path)}`)
  more(output, arrivals.length - SHOWN)
  if (held === 0) return
  const words = `folder confirm ${folder.agent}.${folder.layer}`
  output.hint(`${count(held, 'deletion')} held: ${command(words)} carries them out, --keep brings the files back`)
}

function more(output: Output, count: number): void {
  if (count > 0) output.print(`    and ${count} more`)
}

const remove = (cli: Cli): Command =>
  new Command('rm')
    .summary('stop mirroring a folder')
    .description('Stops mirroring. The files stay, here and on other machines.')
    .argument('<folder>', FOLDER)
    .addHelpText('after', example('sealmesh folder rm claude'))
    .action(
      withDoor(cli, async ({ door, output }, name: string) => {
        const view = await door.call('folder.rm', { folder: folderNamed(name) })
        output.data(view)
        output.say(`${oneLine(view.path)} is mirrored no longer; its files stay`)
      }),
    )

const confirm = (cli: Cli): Command =>
  new Command('confirm')
    .summary('carry out deletions that are held, or take them back')
    .description('So many deletions at once that they may be an accident wait for your word.')
    .argument('<folder>', FOLDER)
    .option('--keep', 'bring the files back instead')
    .addHelpText('after', example('sealmesh folder confirm claude', 'sealmesh folder confirm claude --keep'))
    .action(
      withDoor(cli, async ({ door, output }, name: string, options: { keep?: true }) => {
        const result = await door.call('folder.confirm', { folder: folderNamed(name), keep: options.keep === true })
        output.data(result)
        if (result.files === 0) return output.say('No deletion is held.')
        output.say(
          `${count(result.files, 'file')} ${result.kept ? 'brought back' : 'deleted; other machines ask again'}`,
        )
      }),
    )

const log = (cli: Cli): Command =>
  new Command('log')
    .summary('where the content of a file came from')
    .description('Shows from which machine the content of a file came and when; without one, what happened of note.')
    .argument('<folder>', FOLDER)
    .argument('[path]', 'a file, from the folder on')
    .addHelpText('after', example('sealmesh folder log claude MEMORY.md'))
    .action(
      withDoor(cli, async ({ door, output }, name: string, path: string | undefined) => {
        const named = { folder: folderNamed(name), ...(path === undefined ? {} : { path }) }
        const result = await door.call('folder.log', named)
        output.data(result)
        for (const { nodeName, at } of result.arrivals) output.print(`${moment(at)}  from ${oneLine(nodeName)}`)
        for (const each of result.happenings)
          output.print(`${moment(each.at)}  ${oneLine(each.path)}  ${oneLine(each.what)}`)
        if (result.arrivals.length + result.happenings.length === 0)
          output.hint(path === undefined ? 'Nothing of note has happened.' : 'All of it was written on this machine.')
      }),
    )

const trash = (cli: Cli): Command =>
  new Command('trash')
    .summary('files that sync took away here')
    .description('What another machine deleted is kept here for 30 days.')
    .addHelpText('after', example('sealmesh folder trash ls claude'))
    .addCommand(
      new Command('ls')
        .summary('list them')
        .description('Lists what sync took away from this folder, the newest first.')
        .argument('<folder>', FOLDER)
        .addHelpText('after', example('sealmesh folder trash ls claude'))
        .action(
          withDoor(cli, async ({ door, output, command }, name: string) => {
            const listing = await door.call('folder.trash.ls', { folder: folderNamed(name) })
            output.data(listing)
            if (listing.items.length === 0) return output.hint('The trash is empty.')
            output.table(
              [
                { title: 'ITEM' },
                { title: 'DELETED' },
                { title: 'BY' },
                { title: 'BYTES', align: 'right' },
                { title: 'PATH' },
              ],
              listing.items.map((each) => [
                each.item,
                moment(each.at),
                each.nodeName ?? '-',
                String(each.bytes),
                each.path,
              ]),
            )
            output.hint(`Next: ${command(`folder trash restore ${name} ITEM`)}`)
          }),
        ),
    )
    .addCommand(
      new Command('restore')
        .summary('put one back')
        .description('Puts a file back under its name, or beside the file that has the name now.')
        .argument('<folder>', FOLDER)
        .argument('<item>', 'as `folder trash ls` prints it')
        .addHelpText('after', example('sealmesh folder trash restore claude 0m5kq3z1a9f31c02d'))
        .action(
          withDoor(cli, async ({ door, output }, name: string, item: string) => {
            const result = await door.call('folder.trash.restore', { folder: folderNamed(name), item })
            output.data(result)
            output.print(oneLine(result.path))
          }),
        ),
    )

/** A path is told from a name by what a name cannot have, and made whole: the node runs elsewhere. */
function folderNamed(words: string): string {
  const parts = words.split('.')
  return parts.length <= 2 && parts.every((part) => isName(part)) ? words : resolve(words)
}

function showFolders(output: Output, folders: readonly View[]): void {
  output.table(
    [
      { title: 'AGENT' },
      { title: 'LAYER' },
      { title: 'STATE' },
      { title: 'FILES', align: 'right' },
      { title: 'HELD', align: 'right' },
      { title: 'REFUSED', align: 'right' },
      { title: 'WAITING', align: 'right' },
      { title: 'PATH' },
    ],
    folders.map((each) => [
      each.agent,
      each.layer,
      each.state,
      String(each.files),
      String(each.held.here + each.held.elsewhere),
      String(each.refused),
      String(each.pending),
      each.path,
    ]),
  )
}

import { homedir } from 'node:os'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { CLIENTS, type ClientName, type ConfigPlace, configPlace } from '@sealmesh/mcp/install/clients'
import { withEntry, withoutEntry } from '@sealmesh/mcp/install/entry'
import { undoOf, undone } from '@sealmesh/mcp/install/undo'
import { Failure } from '@sealmesh/protocol/errors'
import { Argument, Command, InvalidArgumentError } from 'commander'
import { type Hunk, hunksBetween } from '../history/hunks.ts'
import { readClientFile, replaceClientFile } from '../mcp/client-file.ts'
import { type Install, readInstalls, writeInstalls } from '../mcp/install-book.ts'
import { isInstalled } from '../mcp/is-installed.ts'
import { dropTokenFile, ensureTokenFile } from '../mcp/token-file.ts'
import { ask, requirePerson } from './ask.ts'
import { example } from './example.ts'
import { type AllowanceFlags, allowanceWords, toolsOf, withAllowance } from './mcp-allowance.ts'
import { oneLine, printable } from './printable.ts'
import { type Cli, type DoorSession, type Session, withDoor, withHome } from './session.ts'

interface Options extends AllowanceFlags {
  readonly agent?: string
  readonly project?: string
  readonly name?: string
  readonly yes?: boolean
}

const client = () => new Argument('<client>', 'whose configuration').choices(CLIENTS)
const NAME = 'sealmesh'

export const install = (cli: Cli): Command =>
  withAllowance(new Command('install'))
    .summary('write the server into the configuration of a coding assistant')
    .description('Shows what would change in the configuration of a coding assistant, and changes it after a yes.')
    .addArgument(client())
    .requiredOption('--agent <name>', 'which agent the assistant is')
    .option('--project <dir>', "a project's configuration in place of the user's")
    .option('--name <name>', 'what the server is called there', serverName, NAME)
    .option('--yes', 'do not ask')
    .addHelpText('after', example('sealmesh mcp install claude-code --agent claude'))
    .action(
      withDoor(cli, async (session, target: ClientName, options: Options) => {
        const { agent = '', name = NAME } = options
        toolsOf(options)
        const allowed = allowanceWords(options)
        const place = placeOf(session, target, options.project)
        const before = await readClientFile(place.file)
        const command = [
          fileURLToPath(new URL('../../bin/sealmesh.js', import.meta.url)),
          'mcp',
          '--home',
          session.home.path,
        ]
        const args = [...command, '--agent', agent, ...allowed]
        const base = await baseOf(session, place, name, before)
        const after = withEntry(base ?? '', place, name, { command: process.execPath, args })
        if (after === undefined) throw cannotEdit(place)
        const changes = hunksBetween(before ?? '', after)
        session.output.print(oneLine(place.file), ...changes.flatMap(diffLines))
        const words = allowed.map((word) => ` ${quoted(word)}`).join('')
        const again = `mcp install ${target} --agent ${agent}${words}${nameFlag(name)}${projectFlag(options)} --yes`
        if (changes.length === 0) session.output.hint('already so')
        else if (options.yes !== true && !(await agreed(session, `Write this to ${place.file}?`, again))) return
        await ensureTokenFile(session.home, agent, session.door)
        await remember(session, place, { client: target, file: place.file, name, agent, before, base, after })
        session.output.data({ client: target, file: place.file, name, agent, changes })
        session.output.say(oneLine(`${target} knows the server "${name}" from its next start on.`))
        session.output.hint(
          `To take it out again: ${session.command(`mcp uninstall ${target}${nameFlag(name)}${projectFlag(options)}`)}`,
        )
      }),
    )

export const uninstall = (cli: Cli): Command =>
  new Command('uninstall')
    .summary('take the server out of it again')
    .description(
      'Takes out what mcp install has written. A file that nobody has changed since is what it was before, byte for byte.',
    )
    .addArgument(client())
    .option('--project <dir>', "a project's configuration in place of the user's")
    .option('--name <name>', 'what the server is called there', serverName, NAME)
    .addHelpText('after', example('sealmesh mcp uninstall claude-code'))
    .action(
      withDoor(cli, async (session, target: ClientName, { project, name = NAME }: Options) => {
        const place = placeOf(session, target, project)
        const installs = await readInstalls(session.home)
        const found = installs.find((each) => each.file === place.file && each.name === name)
        if (found === undefined)
          throw new Failure('ITEM_NOT_FOUND', `mcp install has written no server "${name}" to ${place.file}.`, {
            next: session.command('mcp ls'),
          })
        const now = await readClientFile(place.file)
        await takeOut(place, found, now)
        const left = installs.filter((each) => each !== found)
        await writeInstalls(session.home, left)
        // Nobody starts with it any more.
        if (!left.some(({ agent }) => agent === found.agent))
          await dropTokenFile(session.home, found.agent, session.door)
        session.output.data({ client: target, file: place.file, name })
        session.output.say(oneLine(`The server "${name}" is out of ${place.file}.`))
      }),
    )

export const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('list what was installed where')
    .description('Lists the configurations that mcp install has written to.')
    .addHelpText('after', example('sealmesh mcp ls'))
    .action(
      withHome(cli, async ({ home, output, command }) => {
        const installs = await Promise.all(
          (await readInstalls(home)).map(async (each) => ({ ...each, there: await isInstalled(each) })),
        )
        output.data({
          installs: installs.map(({ client: of, file, name, agent, at, there }) => ({
            client: of,
            file,
            name,
            agent,
            at,
            there,
          })),
        })
        if (installs.length === 0)
          return output.hint(`Nothing yet. Next: ${command('mcp install claude-code --agent AGENT')}`)
        output.table(
          [{ title: 'CLIENT' }, { title: 'SERVER' }, { title: 'AGENT' }, { title: 'FILE' }, { title: 'THERE' }],
          installs.map((each) => [
            each.client,
            each.name,
            each.agent,
            oneLine(each.file),
            each.there === null ? 'cannot be read' : each.there ? 'yes' : 'no',
          ]),
        )
      }),
    )

function placeOf({ terminal }: Session, target: ClientName, project: string | undefined): ConfigPlace {
  const place = configPlace(
    target,
    { home: homedir(), env: terminal.env },
    project === undefined ? undefined : path.resolve(project),
  )
  if (place !== undefined) return place
  throw new Failure('USAGE', `${target} has no configuration of its own for a project.`, {
    next: 'leave out --project',
  })
}

const diffLines = ({ line, removed, added }: Hunk): string[] => [
  `@@ line ${line}`,
  ...removed.map((each) => printable(`- ${each}`)),
  ...added.map((each) => printable(`+ ${each}`)),
]

const cannotEdit = ({ file }: ConfigPlace): Failure =>
  new Failure('CLIENT_CONFIG_INVALID', `${file} cannot be read, or holds something else in the place.`)

async function agreed(session: Session, question: string, again: string): Promise<boolean> {
  requirePerson(session, 'Writing to the configuration of another program', again)
  return ask(session, question)
}

/** The book first: whatever happens in between, what was written can be taken back. */
async function remember(
  { home }: DoorSession,
  place: ConfigPlace,
  { before, base, after, ...what }: Written,
): Promise<void> {
  const installs = await readInstalls(home)
  const others = installs.filter((each) => each.file !== what.file || each.name !== what.name)
  await writeInstalls(home, [...others, { ...what, at: new Date().toISOString(), undo: undoOf(base, after) }])
  try {
    await replaceClientFile(place.file, before, after)
  } catch (error) {
    await writeInstalls(home, installs)
    throw error
  }
}

interface Written extends Pick<Install, 'client' | 'file' | 'name' | 'agent'> {
  readonly before: string | null
  readonly base: string | null
  readonly after: string
}

/**
 * Put in twice, it comes out to what was there before the first time; where somebody else has written since, to that
 * without the entry: what is taken back must never be our own.
 */
async function baseOf({ home }: Session, place: ConfigPlace, name: string, before: string | null) {
  const earlier = (await readInstalls(home)).find((each) => each.file === place.file && each.name === name)
  if (earlier === undefined || before === null) return before
  const back = undone(before, earlier.undo)
  if (back === 'changed') return withoutEntry(before, place, name) ?? before
  return back === 'gone' ? null : back.text
}

async function takeOut(place: ConfigPlace, { undo, name }: Install, now: string | null): Promise<void> {
  if (now === null) return
  const back = undone(now, undo)
  if (back === 'gone') return replaceClientFile(place.file, now, null)
  if (back !== 'changed') return replaceClientFile(place.file, now, back.text)
  const without = withoutEntry(now, place, name)
  if (without === undefined) throw cannotEdit(place)
  if (without !== now) await replaceClientFile(place.file, now, without)
}

/** One that every client takes, and that needs no quotes in TOML. */
function serverName(text: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(text)) return text
  throw new InvalidArgumentError('Expected up to 64 letters, digits, - and _.')
}

/** `*` and `#topic` mean something to a shell. */
const quoted = (word: string): string => (/^[\w.,:@-]+$/.test(word) ? word : `'${word}'`)
const nameFlag = (name: string): string => (name === NAME ? '' : ` --name ${name}`)
const projectFlag = ({ project }: Options): string => (project === undefined ? '' : ` --project ${project}`)

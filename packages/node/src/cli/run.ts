import { Command, type OutputConfiguration } from 'commander'
import { example } from './example.ts'
import { exitOf, failureOf, INTERRUPTED_EXIT } from './failures.ts'
import { Output } from './output.ts'
import type { Cli } from './session.ts'
import { verbs } from './verbs.ts'
import { versionNumber } from '../version-number.ts'

/** Runs one command line (without node and program) and gives its exit code. Never throws, ends no process. */
export async function runCli(argv: readonly string[], cli: Cli): Promise<number> {
  const verb = verbOf(argv)
  const output = new Output(cli.terminal, beforeEndOfOptions(argv).includes('--json'))
  try {
    const program = await programFor(verb, cli, output.json)
    await program.parseAsync(argv.length === 0 ? ['help'] : [...argv], { from: 'user' })
    return 0
  } catch (error) {
    const failure = failureOf(error, verb !== undefined && Object.hasOwn(verbs, verb) ? verb : '')
    if (failure === undefined) return 0
    // Whatever broke off was asked to.
    if (cli.signal.aborted) return INTERRUPTED_EXIT
    output.fail(failure)
    return exitOf(failure.code)
  }
}

async function programFor(verb: string | undefined, cli: Cli, json: boolean): Promise<Command> {
  const { stdout, stderr } = cli.terminal
  const program = new Command('sealmesh')
    .description('Keeps the state of your AI agents alive and in step on every machine that you run.')
    .usage('VERB [options]')
    .option('--home <dir>', 'where this node keeps everything (default: SEALMESH_HOME, else ~/.sealmesh)')
    .option('--json', 'print JSON')
    .version(versionNumber(), '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [verb]', 'show help for a verb')
    .addHelpText('after', `${example('sealmesh status')}\n\nExit codes and errors: docs/errors.md`)
  // The one verb that is meant, unless none is: then all, to list them or to find a similar name.
  const loaders = verb !== undefined && Object.hasOwn(verbs, verb) ? [verbs[verb]] : Object.values(verbs)
  for (const load of loaders) if (load !== undefined) program.addCommand(await load(cli))
  settle(program, {
    writeOut: (text) => stdout.write(text),
    // What commander says about wrong usage comes back as an error and is printed as all failures are.
    writeErr: (text) => (isHelp(text) && !json ? stderr.write(text) : undefined),
  })
  return program
}

/** Commander hands these settings down only to commands that it creates itself. */
function settle(command: Command, streams: OutputConfiguration): void {
  command
    .exitOverride()
    .configureOutput({ ...streams })
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError(true)
  for (const child of command.commands) settle(child, streams)
}

/** `sealmesh agents` without a second verb prints its help as an error. */
const isHelp = (text: string): boolean => text.startsWith('Usage:')

/** The first word that is neither an option nor the value of `--home`. */
function verbOf(argv: readonly string[]): string | undefined {
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? ''
    if (word === '--home') i++
    else if (!word.startsWith('-')) return word
  }
  return undefined
}

function beforeEndOfOptions(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--')
  return end === -1 ? argv : argv.slice(0, end)
}

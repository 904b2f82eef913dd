import { Failure, reactions } from '@sealmesh/protocol/errors'
import { MAILBOX_BYTES_MAX, MAILBOX_PACKETS_MAX } from '@sealmesh/protocol/limits'
import { Command, CommanderError } from 'commander'
import { MESH_BYTES_MAX, MESH_MAILBOXES_MAX, MESH_PACKETS_MAX } from '../core/limits.ts'
import { RELAY_VERSION } from '../version.ts'

/** The `sealmesh-relay` command. Heavy modules load per verb. */
async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('sealmesh-relay')
    .description('A relay for sealed packets between the machines of a mesh. It can read none of them.')
    .version(RELAY_VERSION, '--version', 'print the version')
    .exitOverride()
    .configureOutput({ writeErr: (text) => (json ? undefined : process.stderr.write(text)) })
  const json = argv.includes('--json')
  const withData = (command: Command): Command =>
    command
      .option('--data <dir>', 'where the relay keeps its key and its mailboxes')
      .option('--json', 'results and failures as JSON, one line each')

  withData(program.command('up'))
    .description('Run the relay until it is told to stop.')
    .option('--host <address>', 'the address to listen on (default: all; loopback with --tls none)')
    .option('--port <number>', 'the port to listen on; 0 for any that is free', '7443')
    .option('--tls <mode>', 'self-signed, none (loopback only), or files with --cert and --key')
    .option('--cert <file>', 'a certificate that nodes’ machines trust, PEM')
    .option('--key <file>', 'its key, PEM')
    .option('--public-host <name>', 'the name or address that nodes dial')
    .option('--mailbox-bytes <number>', 'what may wait for one node, of one day', String(MAILBOX_BYTES_MAX))
    .option('--mailbox-packets <number>', 'how many packets may, of one day', String(MAILBOX_PACKETS_MAX))
    .option('--mesh-bytes <number>', 'what may wait for all nodes of a mesh', String(MESH_BYTES_MAX))
    .option('--mesh-packets <number>', 'how many packets may', String(MESH_PACKETS_MAX))
    .option('--mesh-mailboxes <number>', 'in how many mailboxes that nobody reads now', String(MESH_MAILBOXES_MAX))
    .option('--log-level <level>', 'silent, error, warn, info or debug', 'info')
    .action(async (flags: Record<string, string | undefined>) => (await import('./up.ts')).up(flags))
  withData(program.command('claim'))
    .description('Print a new code that admits one mesh, once, within a day.')
    .action(async (flags: Record<string, string | undefined>) => (await import('./claim.ts')).claim(flags))
  withData(program.command('status'))
    .description('Say whether the relay of this data directory runs, and what it holds.')
    .action(async (flags: Record<string, string | undefined>) => (await import('./status.ts')).status(flags))
  program
    .command('version')
    .description('Print the version.')
    .option('--json', 'as JSON')
    .action(async (flags: Record<string, string | undefined>) => (await import('./version.ts')).version(flags))

  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return
    fail(error instanceof CommanderError ? usage(error) : error, json)
  }
}

const usage = (error: CommanderError): Failure =>
  new Failure(
    'USAGE',
    // Help that was not asked for has been printed already; commander calls that message `(outputHelp)`.
    error.code === 'commander.help' ? 'Which of these?' : error.message.replace(/^error: /, ''),
    { next: 'sealmesh-relay --help' },
  )

function fail(error: unknown, json: boolean): void {
  const failure =
    error instanceof Failure ? error : new Failure('INTERNAL', `The relay broke. ${String(error)}`, { cause: error })
  const { code, message, next } = failure
  const { exit, retry } = reactions[code]
  process.exitCode = exit
  const text = json
    ? JSON.stringify({ error: { code, message, next, retry, exit } })
    : `error ${code}: ${message}\n  next: ${next}`
  process.stderr.write(`${text}\n`)
}

await main(process.argv.slice(2))

import { Failure } from '@sealmesh/protocol/errors'
import { Command, CommanderError } from 'commander'
import type { UpFlags } from '../config/settings.ts'
import { RELAY_VERSION } from '../version.ts'
import type { CommonFlags } from './flags.ts'
import { Output } from './output.ts'
import { addServiceVerbs } from './service.ts'

/** The `sealmesh-relay` command. Heavy modules load per verb. */
async function main(argv: readonly string[]): Promise<void> {
  const output = new Output(argv.includes('--json'))
  const program = new Command('sealmesh-relay')
    .description('A relay for sealed packets between the machines of a mesh. It can read none of them.')
    .version(RELAY_VERSION, '--version', 'print the version')
    .exitOverride()
    .configureOutput({ writeErr: (text) => (output.json ? undefined : process.stderr.write(text)) })

  addUp(program)
  addOwnerVerbs(program)
  addAdmission(program)
  addConfig(program)
  addBackup(program)
  addServiceVerbs(program, withData)
  program
    .command('version')
    .description('Print the version.')
    .option('--json', 'as JSON')
    .action(async (flags: Record<string, string | undefined>) => (await import('./version.ts')).version(flags))

  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return
    output.fail(failureOf(error))
  }
}

const withData = (command: Command): Command =>
  command
    .option('--data <dir>', 'where the relay keeps its key and its mailboxes')
    .option('--json', 'results and failures as JSON, one line each')

const withConfig = (command: Command): Command =>
  withData(command).option('--config <file>', 'the settings (default: relay.toml in the data directory)')

function addUp(program: Command): void {
  withConfig(program.command('up'))
    .description('Run the relay until it is told to stop. What is said here comes before what the config says.')
    .option('--host <address>', 'the address to listen on (default: all; loopback with --tls none)')
    .option('--port <number>', 'the port to listen on; 0 for any that is free (default: 7443)')
    .option('--tls <mode>', 'self-signed, none (loopback only), or files with --cert and --key')
    .option('--cert <file>', 'a certificate that nodes’ machines trust, PEM')
    .option('--key <file>', 'its key, PEM')
    .option('--public-host <name>', 'the name or address that nodes dial')
    .option(
      '--public-url <url>',
      'all that nodes dial, such as wss://relay.example.org, where a proxy stands before it',
    )
    .option('--trusted-proxy <addresses>', 'proxies whose X-Forwarded-For counts, such as 127.0.0.1 or 10.0.0.0/8')
    .option('--metrics <address:port>', 'where Prometheus reads /metrics, or off (default)')
    .option('--cluster <addresses>', 'NATS servers of the cluster that this relay is one of, separated by commas')
    .option('--admission <mode>', 'claims (default), or list')
    .option('--mailbox-bytes <number>', 'what may wait for one node, of one day')
    .option('--mailbox-packets <number>', 'how many packets may, of one day')
    .option('--mesh-bytes <number>', 'what may wait for all nodes of a mesh')
    .option('--mesh-packets <number>', 'how many packets may')
    .option('--mesh-mailboxes <number>', 'in how many mailboxes that nobody reads now')
    .option('--limit <key=number>', 'any limit, under its key in the config; more than once', collect, [])
    .option('--log-level <level>', 'silent, error, warn, info (default) or debug')
    .action(async (flags: UpFlags & CommonFlags) => (await import('./up.ts')).up(flags))
}

function addOwnerVerbs(program: Command): void {
  withData(program.command('status'))
    .description('Say whether the relay of this data directory runs, what it holds, and what is nearly full.')
    .action(async (flags: CommonFlags) => (await import('./status.ts')).status(flags))
  withConfig(program.command('doctor'))
    .description('Look at everything that the relay stands on, and say what to do about what is not well.')
    .action(async (flags: CommonFlags) => (await import('./doctor.ts')).doctor(flags))
  const limits = withData(program.command('limits')).description('Show the limits that count, and where each is set.')
  limits.action(async (flags: CommonFlags) => (await import('./limits.ts')).limits(flags))
  withData(limits.command('reload'))
    .description('Let the running relay read its settings again; SIGHUP does the same.')
    .action(async (_: CommonFlags, command: Command) => (await import('./limits.ts')).reload(command.optsWithGlobals()))
  withData(program.command('evict'))
    .description('End the connections of a mesh or a login now. Nodes dial again half a minute later.')
    .argument('<name>', 'a mesh of `admit ls`, or a login of the log')
    .option('--mailboxes', 'drop what is stored for it as well')
    .option('--yes', 'do not ask')
    .action(async (name: string, flags: CommonFlags) => (await import('./evict.ts')).evict(name, flags))
  withData(program.command('metrics'))
    .description('Print what Prometheus reads.')
    .action(async (flags: CommonFlags) => (await import('./metrics.ts')).metrics(flags))
  withData(program.command('sees'))
    .description('Say in words and numbers all that this relay can see of whom it serves.')
    .action(async (flags: CommonFlags) => (await import('./sees.ts')).sees(flags))
}

function addBackup(program: Command): void {
  withData(program.command('backup'))
    .description('Copy the relay as it is at this moment, while it runs or not.')
    .argument('<folder>', 'a new one')
    .option('--with-key', 'the relay’s key as well: whoever has the copy can be this relay')
    .action(async (folder: string, flags: CommonFlags) => (await import('./backup.ts')).backup(folder, flags))
  withData(program.command('restore'))
    .description('Put a copy into an empty data directory. Nodes bring what came after it.')
    .argument('<folder>', 'what `backup` has made')
    .action(async (folder: string, flags: CommonFlags) => (await import('./backup.ts')).restore(folder, flags))
}

function addAdmission(program: Command): void {
  const claim = async (flags: CommonFlags): Promise<void> => (await import('./claim.ts')).claim(flags)
  withData(program.command('claim'))
    .description('Print a new code that admits one mesh, once, within a day.')
    .action(claim)
  const admit = program.command('admit').description('Which meshes get in.')
  withData(admit.command('ls'))
    .description('List the meshes that were let in, and what each holds.')
    .action(async (flags: CommonFlags) => (await import('./admit.ts')).list(flags))
  withData(admit.command('claim')).description('The same as `claim`.').action(claim)
  withData(admit.command('add'))
    .description('Let a mesh in without a code.')
    .argument('<mesh>', 'its id, or the name of one that was shown out')
    .action(async (mesh: string, flags: CommonFlags) => (await import('./admit.ts')).add(mesh, flags))
  withData(admit.command('remove'))
    .description('Show a mesh out, and let none of its machines in again.')
    .argument('<mesh>', 'its name in `admit ls`')
    .option('--yes', 'do not ask')
    .action(async (mesh: string, flags: CommonFlags) => (await import('./admit.ts')).remove(mesh, flags))
}

function addConfig(program: Command): void {
  const config = program.command('config').description('The settings of the relay: relay.toml.')
  withConfig(config.command('init'))
    .description('Write a config with every key and what it is for.')
    .action(async (flags: CommonFlags) => (await import('./config.ts')).init(flags))
  withConfig(config.command('check'))
    .description('Say what is wrong with it, and where.')
    .action(async (flags: CommonFlags) => (await import('./config.ts')).check(flags))
  withConfig(config.command('show'))
    .description('Print what counts, defaults included.')
    .action(async (flags: CommonFlags) => (await import('./config.ts')).show(flags))
  config
    .command('schema')
    .description('Print its JSON Schema, for editors.')
    .action(async () => (await import('./config.ts')).schema())
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value]

function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error
  if (!(error instanceof CommanderError))
    return new Failure('INTERNAL', `The relay broke. ${String(error)}`, { cause: error })
  return new Failure(
    'USAGE',
    // Help that was not asked for has been printed already; commander calls that message `(outputHelp)`.
    error.code === 'commander.help' ? 'Which of these?' : error.message.replace(/^error: /, ''),
    { next: 'sealmesh-relay --help' },
  )
}

await main(process.argv.slice(2))

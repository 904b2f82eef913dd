import { resolve } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import type { Command } from 'commander'
import type { Installed } from '../service/install.ts'
import type { Installation } from '../service/unit.ts'

type Flags = Readonly<Record<string, string | boolean | undefined>>

/** `service install|uninstall|status`: the relay under systemd. What they run is loaded when one is asked for. */
export function addServiceVerbs(program: Command, withData: (command: Command) => Command): void {
  const service = program.command('service').description('The relay as a service of this machine, or of one user.')
  const placed = (command: Command): Command =>
    command
      .option('--user', 'in this user’s own systemd, without root')
      .option('--root <dir>', 'of the system whose files lie there; nothing is started')

  placed(withData(service.command('install')))
    .description('Write the unit for this installation, and start it.')
    .argument('[options...]', 'more options of `up`, behind --')
    .option('--port <number>', 'the port to listen on; below 1024 the unit asks for the right to')
    .option('--public-host <name>', 'the name or address that nodes dial')
    .option('--cert <file>', 'a certificate that nodes’ machines trust, PEM; readable for root is enough')
    .option('--key <file>', 'its key, PEM')
    .option('--no-start', 'from the next boot on, not now')
    .option('--dry-run', 'print the unit and change nothing')
    .action(async (options: string[], flags: Flags) => await install(options, flags))
  placed(service.command('uninstall').option('--json', 'as JSON'))
    .description('Stop it and remove the unit; the data stays.')
    .action(async (flags: Flags) => {
      const { uninstallService, thisMachine } = await modules()
      print(flags, 'removed', await uninstallService(scopeOf(flags), thisMachine(textOf(flags, 'root'), process.env)))
    })
  service
    .command('status')
    .description('What systemd says of it.')
    .option('--user', 'of this user’s own systemd')
    .option('--json', 'as JSON')
    .action(async (flags: Flags) => await status(flags))
}

const modules = async () => ({
  ...(await import('../service/install.ts')),
  ...(await import('../service/this-machine.ts')),
  ...(await import('../service/unit.ts')),
})

async function install(options: readonly string[], flags: Flags): Promise<void> {
  const { checkInstallation, installService, thisMachine, renderUnit } = await modules()
  const installation = installationOf(options, flags)
  if (flags['dryRun'] === true) {
    checkInstallation(installation)
    const unit = renderUnit(installation)
    process.stdout.write(flags['json'] === undefined ? unit : `${JSON.stringify({ unit })}\n`)
    return
  }
  const machine = thisMachine(textOf(flags, 'root'), process.env)
  print(flags, 'written', await installService(installation, { start: flags['start'] !== false }, machine))
}

function installationOf(options: readonly string[], flags: Flags): Installation {
  const path = (name: string): string | undefined => {
    const given = textOf(flags, name)
    return given === undefined ? undefined : resolve(given)
  }
  const [cert, key, publicHost] = [path('cert'), path('key'), textOf(flags, 'publicHost')]
  const program = resolve(process.argv[1] ?? '')
  const root = path('root')
  if ((cert === undefined) !== (key === undefined))
    throw new Failure('USAGE', 'A certificate needs its file and its key.', { next: 'give --cert FILE --key FILE' })
  return {
    scope: scopeOf(flags),
    node: process.execPath,
    // As it was called, since a link that an upgrade moves stays in the unit; and as that system will see it.
    program: root !== undefined && program.startsWith(`${root}/`) ? program.slice(root.length) : program,
    data: path('data'),
    port: portOf(textOf(flags, 'port')),
    tls: cert === undefined || key === undefined ? undefined : { cert, key },
    options: [...(publicHost === undefined ? [] : ['--public-host', publicHost]), ...options],
  }
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (/^[0-9]+$/.test(text) && port >= 1 && port <= 65_535) return port
  throw new Failure('USAGE', '--port is a whole number between 1 and 65535.', {
    next: 'sealmesh-relay service install --help',
  })
}

async function status(flags: Flags): Promise<void> {
  const { serviceState, thisMachine, SERVICE_NAME } = await modules()
  const scope = scopeOf(flags)
  const state = serviceState(scope, thisMachine(undefined, process.env))
  const { active, sub, enabled, pid, restarts, memoryBytes, since } = state
  const memory = memoryBytes === undefined ? '' : `, ${(memoryBytes / 1_048_576).toFixed(1)} MiB`
  const running = pid === 0 ? '' : `, process ${pid}${memory}, since ${since}`
  const text = `service ${SERVICE_NAME}: ${active} (${sub})${running}\nat boot: ${enabled}, started again: ${restarts}\n`
  process.stdout.write(flags['json'] === undefined ? text : `${JSON.stringify(state)}\n`)
  if (active === 'active' || active === 'reloading' || active === 'activating') return
  throw new Failure('RELAY_UNREACHABLE', `The service is ${active}.`, {
    next: `journalctl ${scope === 'user' ? '--user ' : ''}-u ${SERVICE_NAME} -n 50`,
  })
}

function print(flags: Flags, word: string, done: Installed): void {
  const { unit, changed, running, next } = done
  const text = `${unit}: ${changed ? word : 'nothing to change'}${running ? ', running' : ''}\n  next: ${next}\n`
  process.stdout.write(flags['json'] === undefined ? text : `${JSON.stringify(done)}\n`)
}

const scopeOf = (flags: Flags): Installation['scope'] => (flags['user'] === true ? 'user' : 'system')

function textOf(flags: Flags, name: string): string | undefined {
  const value = flags[name]
  return typeof value === 'string' ? value : undefined
}

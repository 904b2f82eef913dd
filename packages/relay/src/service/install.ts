import { Failure } from '@sealmesh/protocol/errors'
import type { Machine } from './machine.ts'
import { commandLine, type Installation, renderUnit, SERVICE_NAME, SERVICE_USER } from './unit.ts'
import { unitPath } from './unit-words.ts'

type Scope = Installation['scope']

const STATE_PATH = `/var/lib/${SERVICE_NAME}`
/** What `ProtectHome` hides from a service of the machine. */
const HIDDEN = ['/home/', '/root/', '/run/user/']

export interface Installed {
  readonly unit: string
  /** Whether the file was written or removed now. */
  readonly changed: boolean
  readonly running: boolean
  /** The command to run next, or what stands for it where systemd does not run. */
  readonly next: string
}

export function unitFile(scope: Scope, machine: Machine): string {
  return scope === 'system'
    ? `/etc/systemd/system/${SERVICE_NAME}.service`
    : `${machine.configHome}/systemd/user/${SERVICE_NAME}.service`
}

/** Throws SERVICE_UNUSABLE or USAGE for what systemd would start in vain. */
export function checkInstallation(installation: Installation): void {
  if (installation.scope === 'user') return
  const hidden = [installation.node, installation.program].find((path) => HIDDEN.some((home) => path.startsWith(home)))
  if (hidden !== undefined)
    throw new Failure('SERVICE_UNUSABLE', `A service of the machine sees no one's home, and ${hidden} is in one.`, {
      next: 'npm install -g --prefix /usr/local the packages, or sealmesh-relay service install --user',
    })
}

/** Writes the unit and starts it, again where it has changed. Done twice it changes nothing. */
export async function installService(
  installation: Installation,
  { start }: { readonly start: boolean },
  machine: Machine,
): Promise<Installed> {
  const { scope } = installation
  checkInstallation(installation)
  refuseOthers(scope, machine)
  const unit = unitFile(scope, machine)
  const text = renderUnit(installation)
  const changed = (await machine.read(unit)) !== text
  if (scope === 'system') prepareUser(installation.data, machine)
  if (changed) await machine.write(unit, text)

  // Where systemd does not run this makes the links for the next boot; where it is not installed nothing does.
  const enabled = systemctl(scope, machine, 'enable', SERVICE_NAME)
  if (!machine.booted)
    return { unit, changed, running: false, next: `started at the next boot: ${commandLine(installation)}` }
  must(enabled, 'systemctl enable')
  if (changed) must(systemctl(scope, machine, 'daemon-reload'), 'systemctl daemon-reload')
  if (start) must(systemctl(scope, machine, changed ? 'restart' : 'start', SERVICE_NAME), 'systemctl start')
  const user = scope === 'user' ? ' --user' : ''
  const next = start ? `sealmesh-relay service status${user}` : `systemctl${user} start ${SERVICE_NAME}`
  return { unit, changed, running: start, next }
}

/** Stops it and removes the unit. The data and the user who owns it stay. */
export async function uninstallService(scope: Scope, machine: Machine): Promise<Installed> {
  refuseOthers(scope, machine)
  const unit = unitFile(scope, machine)
  const text = await machine.read(unit)
  const changed = text !== undefined
  if (changed) {
    const disabled = systemctl(scope, machine, 'disable', ...(machine.booted ? ['--now'] : []), SERVICE_NAME)
    if (machine.booted) must(disabled, 'systemctl disable')
    await machine.remove(unit)
    if (machine.booted) must(systemctl(scope, machine, 'daemon-reload'), 'systemctl daemon-reload')
  }
  const place = scope === 'system' ? STATE_PATH : `~/.local/share/${SERVICE_NAME}`
  const data = /^ReadWritePaths=(.+)$/m.exec(text ?? '')?.[1] ?? place
  return { unit, changed, running: false, next: `nothing: its data is kept in ${data}` }
}

export interface ServiceState {
  readonly active: string
  readonly sub: string
  readonly enabled: string
  /** 0 while it does not run. */
  readonly pid: number
  readonly restarts: number
  /** Undefined where systemd does not count it. */
  readonly memoryBytes: number | undefined
  readonly since: string
}

/** What systemd says. Throws SERVICE_UNUSABLE where there is none, RELAY_UNREACHABLE where no unit is installed. */
export function serviceState(scope: Scope, machine: Machine): ServiceState {
  if (!machine.booted)
    throw new Failure('SERVICE_UNUSABLE', 'No systemd runs here, so nothing can be asked.', {
      next: 'sealmesh-relay status asks the relay itself; sealmesh-relay up runs it here',
    })
  const names = 'LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,MemoryCurrent,ActiveEnterTimestamp'
  const { stdout } = must(systemctl(scope, machine, 'show', SERVICE_NAME, `--property=${names}`), 'systemctl show')
  const said = new Map(
    stdout.split('\n').map((line) => [line.split('=', 1)[0] ?? '', line.slice(line.indexOf('=') + 1)]),
  )
  const word = (name: string): string => said.get(name) ?? ''
  if (word('LoadState') === 'not-found')
    throw new Failure('RELAY_UNREACHABLE', 'There is no such service here.', { next: 'sealmesh-relay service install' })
  const memory = word('MemoryCurrent')
  return {
    active: word('ActiveState'),
    sub: word('SubState'),
    enabled: word('UnitFileState'),
    pid: Number(word('MainPID')),
    restarts: Number(word('NRestarts')),
    memoryBytes: /^[0-9]{1,15}$/.test(memory) ? Number(memory) : undefined,
    since: word('ActiveEnterTimestamp'),
  }
}

function refuseOthers(scope: Scope, { uid }: Machine): void {
  if (scope === 'system' && uid !== 0)
    throw new Failure('SERVICE_UNUSABLE', 'Only root installs a service of the machine.', {
      next: 'sudo sealmesh-relay service install, or sealmesh-relay service install --user',
    })
  if (scope === 'user' && uid === 0)
    throw new Failure('SERVICE_UNUSABLE', 'Root has no need of a service of its own.', {
      next: 'sealmesh-relay service install, without --user',
    })
}

/** The user whom the relay runs as, and where it keeps what it has when systemd does not make the place. */
function prepareUser(data: string | undefined, machine: Machine): void {
  const known = machine.run('id', ['-u', SERVICE_USER]).status
  // The files of a system that does not run now.
  if (known === null) return
  if (known !== 0) {
    const account = ['--system', '--user-group', '--no-create-home', '--home-dir', STATE_PATH]
    must(machine.run('useradd', [...account, '--shell', '/usr/sbin/nologin', SERVICE_USER]), 'useradd')
  }
  if (data === undefined) return
  const owner = ['-o', SERVICE_USER, '-g', SERVICE_USER]
  must(machine.run('install', ['-d', '-m', '0700', ...owner, unitPath(data)]), 'install -d')
}

function systemctl(scope: Scope, machine: Machine, ...words: readonly string[]) {
  return machine.run('systemctl', [...(scope === 'user' ? ['--user'] : []), ...words])
}

function must(outcome: ReturnType<Machine['run']>, what: string): ReturnType<Machine['run']> {
  if (outcome.status === 0) return outcome
  const said = outcome.stderr.trim().split('\n', 1)[0]?.replace(/\.$/, '')
  throw new Failure('SERVICE_UNUSABLE', `${what} failed${said ? `: ${said}` : ''}.`, {
    next: `journalctl -u ${SERVICE_NAME} says more`,
  })
}

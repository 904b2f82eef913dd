import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { settingOf, type UnitFile } from './unit-file.ts'

/**
 * Runs a unit's command line under what of its settings can be had without systemd: namespaces, mounts, the user, the
 * capabilities and the limits. What is left to systemd: the filter of system calls, address families and memory.
 */

/** Where systemd would put state; every Debian has it, and nothing lies there. */
export const STATE = '/mnt'
const NOBODY = 65_534
const SYSTEM_DEVICES = ['null', 'zero', 'full', 'random', 'urandom']

/** Namespaces need root or a kernel that gives them to others, and a container may keep them back. */
export const sandboxWorks =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  fs.existsSync(STATE) &&
  spawnSync('unshare', [
    '--mount',
    '--pid',
    '--net',
    '--fork',
    'mount',
    '-t',
    'proc',
    '-o',
    'subset=pid',
    'proc',
    '/proc',
  ]).status === 0

export interface SandboxOptions {
  /** Takes the place of systemd's directory for the state of all services; this one's is made in it. */
  readonly parent: string
  /** Alone with its own network, where every port is free. */
  readonly alone: boolean
}

export function startSandboxed(unit: UnitFile, { parent, alone }: SandboxOptions): ChildProcess {
  const command = (settingOf(unit, 'ExecStart') ?? '').replaceAll('%S', STATE)
  const [, program = ''] = command.split(' ')
  const state = `${parent}/${settingOf(unit, 'StateDirectory') ?? ''}`
  fs.mkdirSync(state, { mode: Number.parseInt(settingOf(unit, 'StateDirectoryMode') ?? '', 8) })
  const user = readableByAll(program) ? NOBODY : 0
  fs.chownSync(state, user, user)
  const script = [
    'set -e',
    `mount --bind ${parent} ${STATE}`,
    ...(settingOf(unit, 'PrivateDevices') === 'yes' ? privateDevices() : []),
    ...(settingOf(unit, 'ProtectHome') === 'yes' ? hide(['/home', '/root', '/run/user'], command, '000') : []),
    ...(settingOf(unit, 'ProtectSystem') === 'strict' ? ['mount -o remount,bind,ro /'] : []),
    ...(settingOf(unit, 'PrivateTmp') === 'yes' ? hide(['/tmp', '/var/tmp'], command, '1777') : []),
    `mount -t proc -o ${procOptions(unit)} proc /proc`,
    // As far as whoever runs the test may raise it.
    `ulimit -n ${settingOf(unit, 'LimitNOFILE')} 2>/dev/null || true; ulimit -c ${settingOf(unit, 'LimitCORE')}`,
    `umask ${settingOf(unit, 'UMask') ?? '0022'}`,
    'cd /',
    `exec setpriv ${privileges(unit, user)} env -i PATH="$PATH" HOME=/nonexistent ${command}`,
  ].join('\n')
  const namespaces = ['--mount', '--pid', '--fork', ...(alone ? ['--net'] : [])]
  return spawn('unshare', [...namespaces, 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Signals the process inside, which is not told when its parent dies, since it changed its user; `unshare` ends with it. */
export function stopSandboxed(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): void {
  for (const pid of insideOf(child)) process.kill(pid, signal)
}

/** Kills what still runs of these, and waits until it is gone. */
export async function endSandboxed(started: readonly ChildProcess[]): Promise<void> {
  for (const child of started) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const gone = new Promise((resolve) => child.once('close', resolve))
    stopSandboxed(child)
    await gone
  }
}

/** Runs a command where the process is, as the same user, with state under the same name. Gives its exit code. */
export function runSandboxed(child: ChildProcess, words: readonly string[], env: NodeJS.ProcessEnv): number | null {
  const [pid = 0] = insideOf(child)
  const user = fs.statSync(`/proc/${pid}`).uid
  const who = ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups']
  return spawnSync('nsenter', ['--target', String(pid), '--mount', ...who, ...words], { env, cwd: '/' }).status
}

function insideOf(child: ChildProcess): number[] {
  const pids = fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()
  return pids === '' ? [] : pids.split(' ').map(Number)
}

/** `/dev` with nothing in it that belongs to a machine; made beside, since binding needs the real ones. */
function privateDevices(): string[] {
  const binds = SYSTEM_DEVICES.map((name) => `touch "$dev/${name}" && mount --bind /dev/${name} "$dev/${name}"`)
  return ['dev=$(mktemp -d)', 'mount -t tmpfs -o mode=755 tmpfs "$dev"', ...binds, 'mount --rbind "$dev" /dev']
}

/** Empties these for the process, but for one that holds what it runs. */
function hide(paths: readonly string[], command: string, mode: string): string[] {
  const needed = command
    .split(' ')
    .map((word) => (word.startsWith('/') ? fs.realpathSync(word.startsWith(`${STATE}/`) ? STATE : word) : word))
  return paths
    .filter((path) => fs.existsSync(path) && !needed.some((word) => word.startsWith(`${path}/`)))
    .map((path) => `mount -t tmpfs -o mode=${mode} tmpfs ${path}`)
}

function procOptions(unit: UnitFile): string {
  const subset = settingOf(unit, 'ProcSubset') === 'pid' ? ['subset=pid'] : []
  const hidden = settingOf(unit, 'ProtectProc') === 'invisible' ? ['hidepid=2'] : []
  return [...subset, ...hidden, 'nosuid', 'nodev', 'noexec'].join(',')
}

function privileges(unit: UnitFile, user: number): string {
  const named = (name: string): string[] => (settingOf(unit, name) ?? '').split(' ').filter((word) => word !== '')
  const short = (capability: string): string => `+${capability.replace(/^CAP_/, '').toLowerCase()}`
  const bounds = ['-all', ...named('CapabilityBoundingSet').map(short)].join(',')
  const ambient = ['-all', ...named('AmbientCapabilities').map(short)].join(',')
  const noNew = settingOf(unit, 'NoNewPrivileges') === 'yes' ? '--no-new-privs' : ''
  const who = `--reuid=${user} --regid=${user} --clear-groups`
  return `${who} ${noNew} --bounding-set=${bounds} --inh-caps=${ambient} --ambient-caps=${ambient}`
}

/** A checkout in root's home is readable for root alone: then root runs it, without any capability. */
function readableByAll(program: string): boolean {
  const words = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', 'test', '-r', program]
  return spawnSync('setpriv', words).status === 0
}

import { reactions } from '@sealmesh/protocol/errors'
import type { Status } from '@sealmesh/protocol/ipc/methods'

/** One thing that was looked at: what was found, and what to do where it is not well. */
export interface Check {
  readonly name: string
  /** `fail`: something does not work, or will not for long. `warn`: worth a look. */
  readonly state: 'ok' | 'warn' | 'fail'
  readonly found: string
  readonly next: string | null
}

/** What the machine says. Null where it cannot be known: then nothing is said of it. */
export interface Facts {
  readonly nowMs: number
  readonly nodeVersion: string
  readonly version: string
  readonly home: string
  readonly homeExists: boolean
  readonly isSetUp: boolean
  /** Paths that others can reach and should not, with their modes. */
  readonly wide: readonly { readonly path: string; readonly mode: string }[]
  readonly config: { readonly path: string; readonly problems: string | null }
  /** Of the path that its sockets would have in the home, and how many the system takes; null where paths do not count. */
  readonly socket: { readonly bytes: number; readonly bytesMax: number } | null
  readonly freeBytes: number | null
  /** A small write and its fsync in the home: the middle one of several, milliseconds. */
  readonly fsyncMs: number | null
  /** When something in the database was last written. */
  readonly writtenMs: number | null
  readonly logBytes: number | null
  readonly running: Status | null
  /** Why nobody could be asked. */
  readonly refusal: { readonly code: string; readonly message: string; readonly next: string } | null
  readonly relays: readonly { readonly at: string; readonly reason: string | null; readonly next: string }[]
  /** Null without systemd, or where no node runs. */
  readonly isUnit: boolean | null
  readonly entries: readonly Entry[]
}

/** What `mcp install` has written into the configuration of another program. */
export interface Entry {
  readonly client: string
  readonly name: string
  readonly agent: string
  readonly file: string
  readonly isThere: boolean
  /** Whether the agent may still attach with what the entry names. */
  readonly hasToken: boolean
}

const MIB = 1_048_576
/** Below it a snapshot or a compaction may not find its room. */
const DISK_SMALL_BYTES = 1_024 * MIB
const DISK_NONE_BYTES = 64 * MIB
/** A rotating disk takes 10 ms; every write waits for one. */
const FSYNC_SLOW_MS = 50
const CLOCK_SLACK_MS = 60_000
const LOG_LARGE_BYTES = 256 * MIB
const NODE_MIN = [20, 19] as const
/** Past it a relay that a person knows to be away is no news. */
const LAG_S = 3_600

/** Every check that could be made, in the order in which a person would make them. Pure. */
export function judge(facts: Facts): Check[] {
  return [
    program(facts),
    ...home(facts),
    config(facts),
    ...socket(facts),
    ...disk(facts),
    ...clock(facts),
    ...node(facts),
    ...relays(facts),
    ...peers(facts),
    ...unit(facts),
    ...entries(facts),
  ]
}

const ok = (name: string, found: string): Check => ({ name, state: 'ok', found, next: null })
const warn = (name: string, found: string, next: string): Check => ({ name, state: 'warn', found, next })
const fail = (name: string, found: string, next: string): Check => ({ name, state: 'fail', found, next })

function program({ nodeVersion, version }: Facts): Check {
  const [major = 0, minor = 0] = nodeVersion.replace(/^v/, '').split('.').map(Number)
  const isOld = major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])
  return isOld
    ? fail('program', `Node.js ${nodeVersion} is too old`, `install Node.js ${NODE_MIN.join('.')} or later`)
    : ok('program', `sealmesh ${version}, Node.js ${nodeVersion}`)
}

function home({ home: path, homeExists, isSetUp, wide }: Facts): Check[] {
  if (!homeExists || !isSetUp) return [fail('home', `${path} belongs to no mesh yet`, reactions.NODE_NOT_SET_UP.next)]
  if (wide.length === 0) return [ok('home', `${path} is its owner's alone`)]
  return wide.map((each) => fail('home', `others can reach ${each.path} (mode ${each.mode})`, `chmod go= ${each.path}`))
}

function config({ config: { path, problems } }: Facts): Check {
  return problems === null ? ok('config', path) : fail('config', problems, 'sealmesh config check')
}

function socket({ socket: found }: Facts): Check[] {
  if (found === null) return []
  const { bytes, bytesMax } = found
  return [
    bytes <= bytesMax
      ? ok('socket', `its path has ${bytes} of ${bytesMax} bytes`)
      : warn(
          'socket',
          `its path in this home would have ${bytes} of ${bytesMax} bytes: the node takes a short one, which text pipes have not got`,
          'a shorter home: --home DIR',
        ),
  ]
}

function disk({ freeBytes, fsyncMs, logBytes }: Facts): Check[] {
  const checks: Check[] = []
  if (freeBytes !== null) {
    const found = `${Math.floor(freeBytes / MIB)} MiB free`
    if (freeBytes < DISK_NONE_BYTES) checks.push(fail('disk', found, 'free some space: soon nothing can be written'))
    else if (freeBytes < DISK_SMALL_BYTES) checks.push(warn('disk', found, 'free some space'))
    else checks.push(ok('disk', found))
  }
  if (fsyncMs !== null && fsyncMs > FSYNC_SLOW_MS)
    checks.push(warn('disk', `a write takes ${Math.round(fsyncMs)} ms`, 'look at the disk: each write waits for it'))
  if (logBytes !== null && logBytes > LOG_LARGE_BYTES)
    checks.push(
      warn('log', `run/node.log has ${Math.floor(logBytes / MIB)} MiB`, 'sealmesh down, remove it, sealmesh up'),
    )
  return checks
}

function clock({ nowMs, writtenMs }: Facts): Check[] {
  if (writtenMs === null) return []
  const aheadMs = writtenMs - nowMs
  return aheadMs <= CLOCK_SLACK_MS
    ? [ok('clock', new Date(nowMs).toISOString())]
    : [
        fail(
          'clock',
          `the database was last written ${Math.round(aheadMs / 60_000)} min from now`,
          'set the clock of this machine, and let it follow a time server',
        ),
      ]
}

function node({ running, refusal, version, isSetUp }: Facts): Check[] {
  if (!isSetUp) return []
  if (running === null)
    return [fail('node', refusal?.message ?? 'it does not run', refusal?.next ?? reactions.NODE_NOT_RUNNING.next)]
  const checks = [ok('node', `runs since ${running.startedAt}, process ${running.pid}`)]
  if (running.version !== version)
    checks.push(warn('version', `${running.version} runs, ${version} is installed`, 'sealmesh down, sealmesh up'))
  for (const { code, message } of running.warnings)
    checks.push(warn('node', `${code}: ${message}`, nextOf(code) ?? 'sealmesh status'))
  return checks
}

function relays({ relays: looked, running, isSetUp }: Facts): Check[] {
  if (!isSetUp) return []
  if (looked.length === 0)
    return [warn('relay', 'none: other machines are not reached', 'sealmesh up --relay ADDRESS --claim CODE')]
  return looked.map(({ at, reason, next }) => {
    const state = running?.relays.find(({ address }) => address.startsWith(at))?.state
    if (reason !== null) return fail('relay', `${at} is not reached: ${reason}`, next)
    return state === undefined || state === 'live'
      ? ok('relay', `${at} answers${state === undefined ? '' : ', and the node is logged in'}`)
      : warn('relay', `${at} answers, and the node is ${state} there`, 'sealmesh status')
  })
}

function peers({ running }: Facts): Check[] {
  if (running === null || running.peers.length === 0) return []
  const behind = running.peers.filter(({ lagSeconds }) => lagSeconds !== null && lagSeconds > LAG_S)
  if (behind.length === 0) return [ok('machines', `${running.peers.length} others, ${running.summary}`)]
  return behind.map(({ name, toSend, lagSeconds }) =>
    warn(
      'machines',
      `${name} lacks ${toSend} blocks, for ${Math.round((lagSeconds ?? 0) / 3_600)} h`,
      `sealmesh why AGENT, or sealmesh diff ${name}`,
    ),
  )
}

function unit({ isUnit }: Facts): Check[] {
  if (isUnit === null) return []
  return isUnit
    ? [ok('systemd', 'the node runs as a unit')]
    : [
        warn(
          'systemd',
          'the node is no unit: it does not come back after a restart of the machine',
          'run `sealmesh up` from a unit of your user (systemctl --user), or ignore this on a laptop',
        ),
      ]
}

function entries({ entries: installs }: Facts): Check[] {
  const stale = installs.flatMap(({ client, name, agent, file, isThere, hasToken }) => {
    if (!isThere)
      return [warn('mcp', `${client}: the server ${name} is gone from ${file}`, `sealmesh mcp uninstall ${client}`)]
    if (!hasToken)
      return [
        fail(
          'mcp',
          `${client}: ${agent} has no token for the server ${name}`,
          `sealmesh mcp install ${client} --agent ${agent}`,
        ),
      ]
    return []
  })
  if (stale.length > 0) return stale
  return installs.length === 0 ? [] : [ok('mcp', installs.map(({ client }) => client).join(', '))]
}

/** A newer node may name a code that we do not know. */
const nextOf = (code: string): string | undefined =>
  Object.hasOwn(reactions, code) ? reactions[code as keyof typeof reactions].next : undefined

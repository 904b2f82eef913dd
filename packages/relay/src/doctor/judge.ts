import type { RelayStatus } from '../control/status.ts'

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
  readonly dataPath: string
  readonly dataExists: boolean
  /** Paths that others can reach, with their modes. */
  readonly wide: readonly { readonly path: string; readonly mode: string }[]
  readonly config: { readonly path: string; readonly exists: boolean; readonly problems: string | null }
  readonly freeBytes: number | null
  /** A small write and its fsync in the data directory: the middle one of several. */
  readonly fsyncMs: number | null
  /** When something in the data directory was last written. */
  readonly writtenMs: number | null
  readonly relay: RelayStatus | null
  readonly refusal: { readonly message: string; readonly next: string } | null
  readonly openFilesMax: number | null
  readonly connectionsMax: number
  readonly certificate: { readonly fromMs: number; readonly untilMs: number; readonly own: boolean } | null
  /** Its own port, asked over the network of this machine, and at the address that nodes dial. */
  readonly local: Reach | null
  readonly dialled: Reach | null
  /** Null without systemd. */
  readonly isUnit: boolean | null
}

export interface Reach {
  readonly at: string
  readonly answers: boolean
  readonly ready: boolean
}

const DAY_MS = 24 * 60 * 60_000
const DISK_RESERVE_BYTES = 64 * 1_048_576 // Below it the relay refuses packets (disk-watch.ts).
const DISK_SMALL_BYTES = 1_073_741_824
/** A rotating disk takes 10 ms; beyond this a sender waits longer for the disk than for the network. */
const FSYNC_SLOW_MS = 50
const CERTIFICATE_SOON_MS = 21 * DAY_MS
const CLOCK_SLACK_MS = 60_000
/** The database, the log, verbs and metrics. */
const FILES_BESIDE = 200
const NODE_MIN = [20, 19] as const

/** Every check that could be made, in the order in which an owner would make them. Pure. */
export function judge(facts: Facts): Check[] {
  return [
    node(facts),
    ...directory(facts),
    config(facts),
    ...disk(facts),
    clock(facts),
    ...certificate(facts),
    ...relay(facts),
    ...files(facts),
    ...reach(facts),
    ...unit(facts),
  ]
}

const ok = (name: string, found: string): Check => ({ name, state: 'ok', found, next: null })
const warn = (name: string, found: string, next: string): Check => ({ name, state: 'warn', found, next })
const fail = (name: string, found: string, next: string): Check => ({ name, state: 'fail', found, next })

function node({ nodeVersion }: Facts): Check {
  const [major = 0, minor = 0] = nodeVersion.replace(/^v/, '').split('.').map(Number)
  const isOld = major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])
  return isOld
    ? fail('node', `${nodeVersion} is too old`, `install Node ${NODE_MIN.join('.')} or later`)
    : ok('node', nodeVersion)
}

function directory({ dataPath, dataExists, wide }: Facts): Check[] {
  if (!dataExists)
    return [fail('data', `${dataPath} is not there`, 'sealmesh-relay up, or name its directory: --data DIR')]
  if (wide.length === 0) return [ok('data', `${dataPath} is its owner's alone`)]
  return wide.map(({ path, mode }) => fail('data', `others can reach ${path} (mode ${mode})`, `chmod go= ${path}`))
}

function config({ config: { path, exists, problems } }: Facts): Check {
  if (problems !== null)
    return fail('config', problems, `correct it, then sealmesh-relay config check --config ${path}`)
  return ok('config', exists ? `${path} is right` : 'there is none: all is by default')
}

function disk({ freeBytes, fsyncMs }: Facts): Check[] {
  const checks: Check[] = []
  if (freeBytes !== null) {
    const found = `${Math.floor(freeBytes / 1_048_576)} MiB free`
    if (freeBytes < DISK_RESERVE_BYTES * 1.25)
      checks.push(fail('disk', `${found}: packets are refused`, 'free some space: the relay goes on by itself'))
    else if (freeBytes < DISK_SMALL_BYTES)
      checks.push(warn('disk', found, 'free some space, or lower mesh_bytes_max and mesh_vault_bytes_max'))
    else checks.push(ok('disk', found))
  }
  if (fsyncMs !== null) {
    const found = `${fsyncMs.toFixed(1)} ms for a durable write`
    const next = 'use a faster disk for the data directory: every stored packet waits for one'
    checks.push(fsyncMs > FSYNC_SLOW_MS ? warn('fsync', found, next) : ok('fsync', found))
  }
  return checks
}

function clock({ nowMs, writtenMs, certificate: shown }: Facts): Check {
  const next = 'set the clock: timedatectl set-ntp true'
  if (writtenMs !== null && writtenMs > nowMs + CLOCK_SLACK_MS)
    return fail('clock', 'it is behind what was written here: packets would live too long', next)
  if (shown !== null && shown.fromMs > nowMs) return fail('clock', 'the certificate begins later than now', next)
  return ok('clock', new Date(nowMs).toISOString())
}

function certificate({ certificate: shown, nowMs }: Facts): Check[] {
  if (shown === null) return []
  const days = Math.floor((shown.untilMs - nowMs) / DAY_MS)
  const next = shown.own
    ? 'move tls.key and tls.crt away and restart: the address changes, so tell every node (docs/runbooks)'
    : 'renew it, then sealmesh-relay limits reload'
  if (days < 0) return [fail('certificate', `it ended ${-days} days ago`, next)]
  if (shown.untilMs - nowMs < CERTIFICATE_SOON_MS) return [warn('certificate', `it ends in ${days} days`, next)]
  return [ok('certificate', `good for ${days} days`)]
}

function relay({ relay: running, refusal, version, nowMs }: Facts): Check[] {
  if (running === null)
    return [fail('relay', refusal?.message ?? 'it does not run', refusal?.next ?? 'sealmesh-relay up')]
  const checks: Check[] = []
  const up = `${running.status}, up for ${Math.floor((nowMs - running.startedMs) / 60_000)} min`
  if (running.status === 'ok') checks.push(ok('relay', up))
  else checks.push(fail('relay', up, 'look at the disk and the log: it refuses packets until it can store them'))
  if (running.version !== version)
    checks.push(warn('version', `${running.version} runs, ${version} is installed`, 'restart the relay'))
  for (const { limit, mesh, used, max } of running.near) {
    const next = 'bring the nodes back that are away, or raise it in relay.toml: sealmesh-relay limits reload'
    checks.push(warn('limits', `${limit} of ${mesh}: ${used} of ${max}`, next))
  }
  return checks
}

function files({ openFilesMax, connectionsMax }: Facts): Check[] {
  if (openFilesMax === null) return []
  const found = `${openFilesMax} open files, ${connectionsMax} connections`
  return openFilesMax < connectionsMax + FILES_BESIDE
    ? [warn('files', found, `allow ${connectionsMax + FILES_BESIDE}: LimitNOFILE= in the unit, or ulimit -n`)]
    : [ok('files', found)]
}

function reach({ local, dialled }: Facts): Check[] {
  const checks: Check[] = []
  if (local !== null)
    checks.push(
      local.answers
        ? ok('port', `${local.at} answers${local.ready ? '' : ', and is not ready'}`)
        : fail('port', `${local.at} does not answer`, 'look at the log, and at what else listens on that port'),
    )
  if (dialled !== null)
    checks.push(
      dialled.answers
        ? ok('address', `${dialled.at} answers`)
        : warn(
            'address',
            `${dialled.at} does not answer from here`,
            'open the port in the firewall; some networks do not lead back to themselves, so try from outside too',
          ),
    )
  return checks
}

function unit({ isUnit }: Facts): Check[] {
  if (isUnit === null) return []
  return isUnit
    ? [ok('systemd', 'it runs as a unit')]
    : [
        warn(
          'systemd',
          'it is no unit: it does not come back after a restart of the machine',
          'sealmesh-relay service install',
        ),
      ]
}

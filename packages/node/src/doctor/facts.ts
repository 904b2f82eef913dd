import { existsSync, readFileSync } from 'node:fs'
import { lstat, open, readdir, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, reactions } from '@sealmesh/protocol/errors'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import { SOCKET_PATH_BYTES_MAX } from '@sealmesh/protocol/limits'
import { loadConfig } from '../config/load.ts'
import { type Config, DEFAULTS } from '../config/schema.ts'
import { connectDoor } from '../ipc/client.ts'
import type { Home } from '../keys/home.ts'
import { KeyStore } from '../keys/key-store.ts'
import { findSocket } from '../keys/socket-path.ts'
import { type Install, readInstalls } from '../mcp/install-book.ts'
import { isInstalled } from '../mcp/is-installed.ts'
import { tokenFile } from '../mcp/token-file.ts'
import { checkRelay } from '../netcheck/check-relay.ts'
import { requireAddress } from '../uplink/relay-list.ts'
import { WayBack } from '../uplink/way-back.ts'
import { waysTo } from '../uplink/ways.ts'
import { versionNumber } from '../version-number.ts'
import type { Entry, Facts } from './judge.ts'

const SYNCS = 5
/** More relays than any mesh has; each is gone to at once. */
const RELAYS_MAX = 16
/** Of one folder that is looked at for files that others can reach. */
const NAMES_MAX = 1_000

/** Looks at everything that a node stands on, whether it runs or not. Changes nothing; one small file comes and goes. */
export async function gather(home: Home, env: NodeJS.ProcessEnv): Promise<Facts> {
  const { config, problems } = await readConfig(home)
  const { running, refusal } = await askNode(home)
  const homeExists = (await stat(home.path).catch(() => undefined)) !== undefined
  return {
    nowMs: Date.now(),
    nodeVersion: process.version,
    version: versionNumber(),
    home: home.path,
    homeExists,
    isSetUp: homeExists && (await KeyStore.exists(home.keys)),
    wide: await wideIn(home, config),
    config: { path: home.config, problems },
    socket: socketOf(home),
    freeBytes: await freeBytes(home.path),
    fsyncMs: homeExists ? await fsyncMs(home.path) : null,
    writtenMs: await writtenMs(home.db),
    logBytes: (await stat(home.log).catch(() => undefined))?.size ?? null,
    running,
    refusal,
    relays: await relaysOf(home, config, env, running),
    isUnit: running === null ? null : isUnit(running.pid),
    entries: await entriesOf(home),
  }
}

async function readConfig(home: Home): Promise<{ config: Config; problems: string | null }> {
  try {
    return { config: await loadConfig(home.config), problems: null }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { config: DEFAULTS, problems: error.message }
  }
}

async function askNode(home: Home): Promise<Pick<Facts, 'running' | 'refusal'>> {
  try {
    const door = await connectDoor(await findSocket(home))
    try {
      return { running: await door.call('status', {}), refusal: null }
    } finally {
      await door.close()
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const { code, message, next } = error
    return { running: null, refusal: { code, message, next } }
  }
}

/** The home itself may be readable, what lies in it may not. */
async function wideIn(home: Home, config: Config): Promise<Facts['wide']> {
  if (process.platform === 'win32') return []
  const credentials = config.network.proxy_credentials
  const keys = (await readdir(home.keys).catch(() => [])).slice(0, NAMES_MAX).map((name) => join(home.keys, name))
  const own = [home.keys, ...keys, home.db, home.diary, home.drills, home.run, home.log]
  const looked = [
    { path: home.path, mask: 0o022 },
    ...[...own, ...(credentials === undefined ? [] : [credentials])].map((path) => ({ path, mask: 0o077 })),
  ]
  const wide: { path: string; mode: string }[] = []
  for (const { path, mask } of looked) {
    const stats = await lstat(path).catch(() => undefined)
    if (stats !== undefined && !stats.isSymbolicLink() && (stats.mode & mask) !== 0)
      wide.push({ path, mode: (stats.mode & 0o777).toString(8).padStart(4, '0') })
  }
  return wide
}

/** The longest of its own: that of the agents' door. */
function socketOf(home: Home): Facts['socket'] {
  if (process.platform === 'win32') return null
  const bytes = Buffer.byteLength(join(home.run, 'agents', 'sealmesh-agents.sock'))
  return { bytes, bytesMax: SOCKET_PATH_BYTES_MAX }
}

async function freeBytes(path: string): Promise<number | null> {
  const stats = await statfs(path).catch(() => undefined)
  return stats === undefined ? null : stats.bavail * stats.bsize
}

async function fsyncMs(directory: string): Promise<number | null> {
  const path = join(directory, `doctor.${process.pid}`)
  try {
    const file = await open(path, 'wx', 0o600)
    try {
      const times: number[] = []
      for (let n = 0; n < SYNCS; n++) {
        const startMs = performance.now()
        await file.write(Buffer.alloc(1_024), 0, 1_024, n * 1_024)
        await file.sync()
        times.push(performance.now() - startMs)
      }
      return times.toSorted((a, b) => a - b)[Math.floor(SYNCS / 2)] ?? null
    } finally {
      await file.close()
      await rm(path, { force: true })
    }
  } catch {
    return null // Another user's home, or a full disk, which the other checks name.
  }
}

async function writtenMs(database: string): Promise<number | null> {
  const names = await readdir(database).catch(() => [])
  const times = await Promise.all(names.map((name) => stat(join(database, name)).catch(() => undefined)))
  const last = Math.max(...times.map((stats) => stats?.mtimeMs ?? 0), 0)
  return last === 0 ? null : last
}

/** From the node if it runs, else from what it has written down of the way back. */
async function relaysOf(
  home: Home,
  { network }: Config,
  env: NodeJS.ProcessEnv,
  running: Status | null,
): Promise<Facts['relays']> {
  const wayBack = running === null ? await WayBack.load(home.wayBack) : undefined
  const addresses = running?.relays.map(({ address }) => address) ?? wayBack?.addresses.map((each) => wayBack.now(each))
  return Promise.all(
    (addresses ?? []).slice(0, RELAYS_MAX).map(async (text) => {
      const address = requireAddress(text)
      const { reason } = await checkRelay(address, () => waysTo(address, network, env))
      return { at: text.replace(/#.*/, ''), reason, next: reason === null ? '' : reactions[reason].next }
    }),
  )
}

function isUnit(pid: number): boolean | null {
  if (!existsSync('/run/systemd/system')) return null
  try {
    return /[^/]+\.service(?:\/|$)/m.test(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))
  } catch {
    return null
  }
}

async function entriesOf(home: Home): Promise<Entry[]> {
  const installs = await readInstalls(home).catch((): Install[] => [])
  return Promise.all(
    installs.map(async (each) => {
      const { client, name, agent, file } = each
      const isThere = await isInstalled(each).catch(() => false)
      return { client, name, agent, file, isThere, hasToken: existsSync(tokenFile(home, agent)) }
    }),
  )
}

import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { open, readdir, readFile, rm, stat, statfs } from 'node:fs/promises'
import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'
import { join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { loadConfig } from '../config/load.ts'
import { type Settings, settingsOf } from '../config/settings.ts'
import { askRelay } from '../control/client.ts'
import type { RelayStatus } from '../control/status.ts'
import type { DataDirectory } from '../data/data-directory.ts'
import { type Running, readRunning } from '../data/running.ts'
import { CONNECTIONS_MAX } from '../listen.ts'
import { RELAY_VERSION } from '../version.ts'
import type { Facts, Reach } from './judge.ts'

const SYNCS = 5
const REACH_WAIT_MS = 3_000

/** Looks at the machine, the data directory and the relay that runs there. Changes nothing but a file of its own, for a moment. */
export async function gather(data: DataDirectory, config: { path: string; isNamed: boolean }): Promise<Facts> {
  const dataExists = existsSync(data.path)
  const running = dataExists ? await readRunning(data).catch(() => undefined) : undefined
  const { relay, refusal } = await askStatus(data)
  const read = await readSettings(config)
  return {
    nowMs: Date.now(),
    nodeVersion: process.version,
    version: RELAY_VERSION,
    dataPath: data.path,
    dataExists,
    wide: dataExists ? await wideIn(data) : [],
    config: { path: config.path, exists: existsSync(config.path), problems: read.problems },
    freeBytes: dataExists ? await freeBytes(data.path) : null,
    fsyncMs: dataExists ? await fsyncMs(data.path) : null,
    writtenMs: dataExists ? await writtenMs(data) : null,
    relay,
    refusal,
    openFilesMax: openFilesMax(relay?.pid ?? null),
    connectionsMax: CONNECTIONS_MAX,
    certificate: await certificateOf(data, read.settings),
    local: relay === null || running === undefined ? null : await reach(running.http),
    dialled: relay === null || running === undefined ? null : await reachDialled(running),
    isUnit: relay === null ? null : isUnit(relay.pid),
  }
}

async function askStatus(data: DataDirectory): Promise<{ relay: RelayStatus | null; refusal: Facts['refusal'] }> {
  try {
    return { relay: await askRelay(data, '/status'), refusal: null }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { relay: null, refusal: { message: error.message, next: error.next } }
  }
}

async function readSettings(config: {
  path: string
  isNamed: boolean
}): Promise<{ settings: Settings | null; problems: string | null }> {
  try {
    const settings = settingsOf({}, await loadConfig(config.path, config.isNamed), config.path)
    return { settings, problems: null }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { settings: null, problems: error.message }
  }
}

async function wideIn(data: DataDirectory): Promise<{ path: string; mode: string }[]> {
  if (process.platform === 'win32') return []
  const wide: { path: string; mode: string }[] = []
  for (const path of [data.path, data.key, data.tlsKey, data.claims, data.meshes, data.running]) {
    const stats = await stat(path).catch(() => undefined)
    if (stats !== undefined && (stats.mode & 0o077) !== 0)
      wide.push({ path, mode: (stats.mode & 0o777).toString(8).padStart(4, '0') })
  }
  return wide
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
    return null // Another user's directory, or a full disk, which the other checks name.
  }
}

async function writtenMs(data: DataDirectory): Promise<number | null> {
  const names = await readdir(data.database).catch(() => [])
  const times = await Promise.all(names.map((name) => stat(join(data.database, name)).catch(() => undefined)))
  const last = Math.max(...times.map((stats) => stats?.mtimeMs ?? 0), 0)
  return last === 0 ? null : last
}

async function certificateOf(data: DataDirectory, settings: Settings | null): Promise<Facts['certificate']> {
  const own = settings?.tls.type !== 'files'
  const path = settings?.tls.type === 'files' ? settings.tls.cert : data.tlsCertificate
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined || settings?.tls.type === 'none') return null
  const { validFrom, validTo } = new X509Certificate(text)
  return { fromMs: Date.parse(validFrom), untilMs: Date.parse(validTo), own }
}

/** Of the relay's process, or of this one, which is started the same way. */
function openFilesMax(pid: number | null): number | null {
  try {
    const limits = readFileSync(`/proc/${pid ?? 'self'}/limits`, 'utf8')
    const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(limits) ?? []
    return soft === undefined ? null : soft === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(soft)
  } catch {
    return null // Not on this system, or another user's.
  }
}

function isUnit(pid: number): boolean | null {
  if (!existsSync('/run/systemd/system')) return null
  try {
    return /[^/]+\.service(?:\/|$)/m.test(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))
  } catch {
    return null
  }
}

async function reachDialled({ address, http }: Running): Promise<Reach | null> {
  const [url = ''] = address.replace(/^ws/, 'http').split('#')
  return url === http ? null : await reach(url)
}

/** Whose certificate it is does not matter here: nodes compare it, and this asks only whether somebody answers. */
function reach(url: string): Promise<Reach> {
  return new Promise((resolve) => {
    const get = url.startsWith('https:') ? getHttps : getHttp
    const request = get(`${url}/readyz`, { timeout: REACH_WAIT_MS, rejectUnauthorized: false }, (response) => {
      response.resume()
      resolve({ at: url, answers: true, ready: response.statusCode === 200 })
    })
    request.on('error', () => resolve({ at: url, answers: false, ready: false }))
    request.on('timeout', () => request.destroy())
  })
}

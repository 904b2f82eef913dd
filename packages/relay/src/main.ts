import { randomBytes } from 'node:crypto'
import { statfs } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { toHex, utf8 } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { formatRelayAddress, isLoopback } from '@sealmesh/protocol/wire/address'
import { loadSodium } from '@sealmesh/sodium/load'
import { type Logger, pino } from 'pino'
import { createApp, type Health } from './app.ts'
import { DEFAULT_LIMITS, type RelayLimits } from './core/limits.ts'
import { type Certificate, fromFiles, selfSigned } from './data/certificate.ts'
import { createClaim, openClaims, spendClaim } from './data/claims.ts'
import { type DataDirectory, prepareDataDirectory } from './data/data-directory.ts'
import { loadIdentity } from './data/identity.ts'
import { removeRunning, writeRunning } from './data/running.ts'
import { RelayDriver } from './driver.ts'
import { listen } from './listen.ts'
import { createMetrics, totals } from './metrics.ts'
import { type DiskTrouble } from './store/disk-failure.ts'
import { loadRelay } from './store/load.ts'
import { Store, type StoreEvents } from './store/store.ts'
import { Tally } from './tally.ts'
import { RELAY_VERSION } from './version.ts'

export interface RelayOptions {
  readonly data: DataDirectory
  readonly host: string
  readonly port: number
  readonly tls: { type: 'self-signed' } | { type: 'none' } | { type: 'files'; cert: string; key: string }
  /** The name that nodes dial; this machine's first address otherwise. */
  readonly publicHost?: string
  readonly logLevel: string
  readonly limits?: Partial<RelayLimits>
}

export interface RunningRelay {
  readonly address: string
  readonly http: string
  /** A code that admits the first mesh, when nobody has used one yet. */
  readonly claim: string | null
  stop(): Promise<void>
}

/** Kept free for LevelDB's own merging, and for whatever else shares the disk. */
const DISK_RESERVE_BYTES = 64 * 1_048_576
const DISK_LOOK_MS = 1_000

/** The composition root: the only place where clock, randomness, disk, sockets and logger are the real ones. */
export async function runRelay(options: RelayOptions): Promise<RunningRelay> {
  const { data } = options
  if (options.tls.type === 'none' && !isLoopback(options.host))
    throw new Failure('USAGE', 'Without TLS a relay listens on loopback only.', {
      next: 'use --host 127.0.0.1, or leave --tls away for a self-signed certificate',
    })
  const log = pino({ level: options.logLevel, base: {}, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2))
  const random = (bytes: number): Uint8Array => randomBytes(bytes)
  const sodium = await loadSodium()
  await prepareDataDirectory(data)

  // The database's lock comes first: whoever holds it owns the whole directory.
  const disk = new DiskWatch(log)
  const store = await Store.open(data.database, disk.storeEvents, () => performance.now())
  try {
    const { relay, keys } = await loadIdentity(data, sodium, random)
    const generation = await store.generation(random)
    const state = await loadRelay(store, relay, generation, { ...DEFAULT_LIMITS, ...options.limits })
    const certificate = await certificateFor(options)
    const tally = new Tally()
    const metrics = createMetrics(state, tally)
    const logKey = sodium.hash([utf8('relay log names'), keys.secretKey.expose()])
    const driver = new RelayDriver({
      state,
      store,
      world: { sodium, secretKey: keys.secretKey },
      now: () => Date.now(),
      random,
      claims: { open: () => openClaims(data, Date.now()), spend: (claim) => spendClaim(data, claim) },
      tally,
      log,
      pseudonym: (id) => toHex(sodium.hash([utf8(id)], 16, logKey)).slice(0, 10),
    })
    disk.watch(data.path, driver, (operations, ms) => metrics.groupWritten(operations, ms))

    const health = (): Health => ({
      status: state.stopping ? 'stopping' : HEALTH[state.diskTrouble ?? 'ok'],
      version: RELAY_VERSION,
      connections: state.connections.size,
      mailboxes: state.mailboxes.size,
      storedPackets: totals(state).packets,
      storedBytes: totals(state).bytes,
    })
    const app = createApp({ health, registry: metrics.registry })
    const { host } = options
    const listening = await listen({ host, port: options.port, certificate, app, connect: driver.connect.bind(driver) })

    const { address, http } = addressesOf(options, certificate, listening.port, relay)
    const claim =
      state.meshes.size === 0 && openClaims(data, Date.now()).length === 0
        ? await createClaim(data, { sodium, random, nowMs: Date.now() })
        : null
    const pin = certificate?.pin ?? null
    await writeRunning(data, { pid: process.pid, address, http, pin, startedMs: Date.now() })
    log.info({ port: listening.port, meshes: state.meshes.size, mailboxes: state.mailboxes.size }, 'relay is up')
    return {
      address,
      http,
      claim,
      async stop() {
        const closed = listening.close()
        await driver.stop()
        await closed
        disk.stop()
        await removeRunning(data)
        await store.close()
        log.info('relay is down')
      },
    }
  } catch (error) {
    disk.stop()
    await store.close()
    throw error
  }
}

const HEALTH = { ok: 'ok', DISK_FULL: 'disk full', DISK_FAILED: 'disk failed' } as const

/** Tells the core when packets cannot be stored: because a write failed, or because one soon would. */
class DiskWatch {
  readonly storeEvents: StoreEvents
  #driver: RelayDriver | null = null
  #groupWritten: (operations: number, ms: number) => void = () => undefined
  #failed: DiskTrouble | null = null
  #low = false
  #told: DiskTrouble | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(log: Logger) {
    this.storeEvents = {
      onPersisted: (receipts) => this.#driver?.feed({ type: 'persisted', receipts }),
      onFailed: (receipts, reason) => this.#driver?.feed({ type: 'persistFailed', receipts, reason }),
      onTrouble: (trouble, error) => {
        this.#failed = trouble
        if (trouble === null) log.info('the disk takes writes again')
        else
          log.error(
            { trouble, error: String(error) },
            'the disk refuses writes: packets are refused until it takes them',
          )
        this.#tell()
      },
      onGroup: (operations, ms) => this.#groupWritten(operations, ms),
    }
  }

  watch(path: string, driver: RelayDriver, groupWritten: (operations: number, ms: number) => void): void {
    this.#driver = driver
    this.#groupWritten = groupWritten
    this.#timer = setInterval(() => void this.#look(path), DISK_LOOK_MS)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  async #look(path: string): Promise<void> {
    try {
      const { bavail, bsize } = await statfs(path)
      // Once low it stays low until there is a little more, or it would flutter.
      const needed = this.#low ? DISK_RESERVE_BYTES * 1.25 : DISK_RESERVE_BYTES
      this.#low = bavail * bsize < needed
    } catch {
      // Some file systems do not say; then a failing write does.
      this.#low = false
    }
    this.#tell()
  }

  #tell(): void {
    const trouble = this.#failed ?? (this.#low ? 'DISK_FULL' : null)
    if (trouble === this.#told) return
    this.#told = trouble
    this.#driver?.feed({ type: 'disk', trouble })
  }
}

function certificateFor(options: RelayOptions): Promise<Certificate | null> {
  switch (options.tls.type) {
    case 'none':
      return Promise.resolve(null)
    case 'files':
      return fromFiles(options.tls.cert, options.tls.key)
    case 'self-signed':
      return selfSigned(options.data, publicHost(options), Date.now())
  }
}

function addressesOf(
  options: RelayOptions,
  certificate: Certificate | null,
  port: number,
  relay: Parameters<typeof formatRelayAddress>[0]['relay'],
): { address: string; http: string } {
  const tls = certificate !== null
  const pin = certificate?.pin ?? null
  const url = `${tls ? 'wss' : 'ws'}://${bracketed(publicHost(options))}:${port}`
  const local = isAnywhere(options.host) ? '127.0.0.1' : options.host
  const http = `${tls ? 'https' : 'http'}://${bracketed(local)}:${port}`
  return { address: formatRelayAddress({ url, relay, pin }), http }
}

function publicHost(options: RelayOptions): string {
  if (options.publicHost !== undefined) return options.publicHost
  if (!isAnywhere(options.host)) return options.host
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}

const isAnywhere = (host: string): boolean => host === '0.0.0.0' || host === '::'
const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host)

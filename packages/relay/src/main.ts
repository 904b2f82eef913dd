import { randomBytes } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { toHex, utf8 } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { formatRelayAddress, isLoopback } from '@sealmesh/protocol/wire/address'
import { loadSodium } from '@sealmesh/sodium/load'
import { pino } from 'pino'
import { createApp, type Health } from './app.ts'
import { DEFAULT_LIMITS, type RelayLimits } from './core/limits.ts'
import { type Certificate, fromFiles, selfSigned } from './data/certificate.ts'
import { admittedMeshes, noteAdmitted, noteExpelled } from './data/admitted.ts'
import { createClaim, openClaims, spendClaim } from './data/claims.ts'
import { type DataDirectory, prepareDataDirectory } from './data/data-directory.ts'
import { loadIdentity } from './data/identity.ts'
import { removeRunning, writeRunning } from './data/running.ts'
import { DiskWatch } from './disk-watch.ts'
import { RelayDriver } from './driver.ts'
import { listen } from './listen.ts'
import { createMetrics, totals } from './metrics.ts'
import { loadRelay } from './store/load.ts'
import { Store } from './store/store.ts'
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
    const state = await loadRelay(
      store,
      relay,
      generation,
      { ...DEFAULT_LIMITS, ...options.limits },
      admittedMeshes(data),
      sodium,
    )
    const certificate = await certificateFor(options)
    const tally = new Tally()
    const metrics = createMetrics(state, tally)
    const logKey = sodium.hash([utf8('relay log names'), keys.secretKey.expose()])
    const driver = new RelayDriver({
      state,
      store,
      world: { sodium, secretKey: keys.secretKey },
      now: () => Date.now(),
      steady: () => performance.now(),
      random,
      claims: { open: () => openClaims(data, Date.now()), spend: (claim) => spendClaim(data, claim) },
      admitted: (mesh) => noteAdmitted(data, mesh),
      expelled: (mesh) => noteExpelled(data, mesh),
      tally,
      log,
      pseudonym: (id) => toHex(sodium.hash([utf8(id)], 16, logKey)).slice(0, 10),
    })
    disk.attach(driver, (operations, ms) => metrics.groupWritten(operations, ms))

    const health = (): Health => ({
      status: state.stopping ? 'stopping' : HEALTH[state.diskTrouble ?? 'ok'],
      version: RELAY_VERSION,
      connections: state.connections.size,
      mailboxes: totals(state).mailboxes,
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
    driver.start()
    disk.watch(data.path)
    await writeRunning(data, { pid: process.pid, address, http, pin, startedMs: Date.now() })
    log.info({ port: listening.port, meshes: state.meshes.size, mailboxes: totals(state).mailboxes }, 'relay is up')
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

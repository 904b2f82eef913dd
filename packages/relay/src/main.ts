import { randomBytes } from 'node:crypto'
import { statfs } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import { formatRelayAddress, isLoopback } from '@sealmesh/protocol/wire/address'
import { loadSodium } from '@sealmesh/sodium/load'
import { type Logger, pino } from 'pino'
import { createApp } from './app.ts'
import { type Reloaded, reloaded } from './config/reload.ts'
import type { Settings } from './config/settings.ts'
import { createControlApp } from './control/app.ts'
import { Pseudonyms } from './control/pseudonyms.ts'
import { serve } from './control/server.ts'
import { claimSocketPath, releaseSocketPath } from './control/socket-path.ts'
import { type Health, statusOf } from './control/status.ts'
import { type Certificate, fromFiles, selfSigned } from './data/certificate.ts'
import { admittedMeshes, noteAdmitted, noteExpelled } from './data/admitted.ts'
import { createClaim, openClaims, spendClaim } from './data/claims.ts'
import { type DataDirectory, prepareDataDirectory } from './data/data-directory.ts'
import { loadIdentity } from './data/identity.ts'
import { removeRunning, writeRunning } from './data/running.ts'
import type { ClaimKey } from './core/event.ts'
import { newRelay } from './core/relay.ts'
import { DiskWatch } from './disk-watch.ts'
import { RelayDriver } from './driver.ts'
import { GoodbyeLog } from './goodbye-log.ts'
import { listen } from './listen.ts'
import { createMetrics, createMetricsApp } from './metrics.ts'
import { trustedProxiesOf } from './socket/forwarded.ts'
import { STORE_FORMAT } from './store/keys.ts'
import { loadRelay } from './store/load.ts'
import { migrate } from './store/migrations.ts'
import { streamOf } from './store/rows.ts'
import { Store } from './store/store.ts'
import { Tally } from './tally.ts'

export interface RelayOptions {
  readonly data: DataDirectory
  readonly settings: Settings
  /** The command line and the file again. Throws CONFIG_INVALID. */
  readonly readSettings: () => Promise<Settings>
}

export interface RunningRelay {
  readonly address: string
  readonly http: string
  /** Where metrics are read, when they are served. */
  readonly metrics: string | null
  /** A code that admits the first mesh, when nobody has used one yet. */
  readonly claim: string | null
  /** Reads the settings again. One that cannot be used leaves the old ones in force, and is thrown. */
  reload(): Promise<Reloaded>
  stop(): Promise<void>
}

/** The composition root: the only place where clock, randomness, disk, sockets and logger are the real ones. */
export async function runRelay(options: RelayOptions): Promise<RunningRelay> {
  const { data } = options
  let { settings } = options
  const { tls, host } = settings
  if (tls.type === 'none' && !isLoopback(host))
    throw new Failure('USAGE', 'Without TLS a relay listens on loopback only.', {
      next: 'use --host 127.0.0.1, or leave --tls away for a self-signed certificate',
    })
  const log = pino(
    { level: settings.logLevel, base: {}, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination(2),
  )
  const random = (bytes: number): Uint8Array => randomBytes(bytes)
  const sodium = await loadSodium()
  await prepareDataDirectory(data)
  const cluster = settings.cluster === null ? null : await clusterParts(settings.cluster)

  // The database's lock comes first: whoever holds it owns the whole directory.
  const disk = new DiskWatch(log)
  const store = await Store.open(
    data.database,
    disk.storeEvents,
    () => performance.now(),
    async (db, format) => {
      const isDone = await migrate(db, format, sodium)
      if (isDone) log.warn({ from: format, to: STORE_FORMAT }, 'the database was brought to a newer format')
      return isDone
    },
  )
  // What was begun, in order, for whatever ends it: a stop or a failure on the way up.
  const ends: (() => Promise<void> | void)[] = [() => store.close(), () => disk.stop()]
  const endAll = async (): Promise<void> => {
    for (const end of ends.splice(0).toReversed()) await end()
  }
  try {
    const { relay, keys } = await loadIdentity(data, sodium, random)
    const { limits } = settings
    const state =
      cluster === null
        ? await loadRelay(store, relay, await store.generation(random), limits, admittedMeshes(data), sodium)
        : newRelay(relay, new Uint8Array(GENERATION_BYTES), 0, limits)
    let certificate = await certificateFor(data, settings)
    const tally = new Tally()
    const startedMs = Date.now()
    let started = false
    const health = (): Health => {
      if (state.stopping) return 'stopping'
      if (together?.isReady === false) return 'no cluster'
      return started ? HEALTH[state.diskTrouble ?? 'ok'] : 'starting'
    }
    const metrics = createMetrics({
      state,
      tally,
      certificate: () => certificate,
      startedMs,
      cluster: () => together?.figures ?? null,
      now: () => Date.now(),
      data: data.path,
    })
    ends.push(() => metrics.close())
    const pseudonyms = new Pseudonyms(sodium, keys.secretKey.expose())
    const world = { sodium, secretKey: keys.secretKey }
    const ownClaims = (): readonly ClaimKey[] => (settings.admission === 'claims' ? openClaims(data, Date.now()) : [])
    const together = cluster?.join({
      state,
      events: disk.storeEvents,
      world: () => ({ ...world, nowMs: Date.now(), steadyMs: performance.now() }),
      random,
      ownClaims,
      log,
    })
    const goodbyes = new GoodbyeLog(
      (fields, message) => log.info(fields, message),
      () => performance.now(),
    )
    const sweeping = setInterval(() => goodbyes.sweep(), SWEEP_MS)
    ends.push(() => {
      clearInterval(sweeping)
      goodbyes.close()
    })
    const newClaim = (): Promise<string> => createClaim(data, { sodium, random, nowMs: Date.now() })
    const driver = new RelayDriver({
      state,
      store: together?.store ?? store,
      world,
      now: () => Date.now(),
      steady: () => performance.now(),
      random,
      claims: {
        open: () => together?.claims ?? ownClaims(),
        spend: (claim) => spendClaim(data, claim),
      },
      admitted: (mesh) => noteAdmitted(data, mesh),
      expelled: (mesh) => noteExpelled(data, mesh),
      tally,
      log,
      goodbyes,
      pseudonym: (id) => pseudonyms.of(id),
    })
    disk.attach(driver, (operations, ms) => metrics.groupWritten(operations, ms))

    const app = createApp({ health })
    together?.attach(driver)
    const connect = together === undefined ? driver.connect.bind(driver) : together.connect.bind(together)
    const listening = await listen({
      host,
      port: settings.port,
      certificate,
      app,
      proxies: settings.trustedProxy === null ? null : (trustedProxiesOf(settings.trustedProxy) ?? null),
      isBarred: driver.isBarred.bind(driver),
      came: () => {
        tally.sockets += 1
      },
      ended: (reason) => Tally.count(tally.socketsEnded, reason),
      connect,
    })
    ends.push(() => listening.close())
    // What does not fit is said before anything else; what is not there yet may come.
    if (together !== undefined)
      await Promise.race([startCluster(together, log), delay(CLUSTER_WAIT_MS, undefined, { ref: false })])
    const scraped = settings.metrics === null ? null : await serve(createMetricsApp(metrics), settings.metrics)
    if (scraped !== null) ends.push(() => scraped.close())
    const metricsUrl =
      settings.metrics === null ? null : `http://${bracketed(settings.metrics.host)}:${scraped?.port ?? 0}/metrics`

    const { address, http } = addressesOf(settings, certificate, listening.port, relay)
    const reload = async (): Promise<Reloaded> => {
      // All of it is read before any of it counts.
      const { next, said, renewed } = await readAgain(options, settings, log)
      settings = next
      log.level = next.logLevel
      driver.feed({ type: 'limits', limits: next.limits })
      if (renewed !== null) {
        certificate = renewed
        listening.renew(renewed)
      }
      log.info(said, 'settings were read again')
      return said
    }
    const control = createControlApp({
      state,
      pseudonyms,
      now: () => Date.now(),
      settings: () => settings,
      status: async () =>
        statusOf({
          ...{ state, tally, settings, pseudonyms, startedMs, address },
          health: health(),
          pid: process.pid,
          diskFreeBytes: await freeBytes(data.path),
          nowMs: Date.now(),
        }),
      metrics: () => metrics.registry.metrics(),
      feed: (event) => driver.feed(event),
      settle: () => (together === undefined ? store.settle() : Promise.resolve()),
      reload,
      claim: newClaim,
      backup: () => {
        if (together === undefined) return streamOf(store.db)
        throw new Failure('USAGE', 'What a cluster keeps lies in NATS, not in this data directory.', {
          next: 'back up the streams there: docs/relay/cluster.md',
        })
      },
    })
    const socketPath = await claimSocketPath(data)
    ends.push(() => releaseSocketPath(data, socketPath))
    const door = await serve(control, { path: socketPath })
    ends.push(() => door.close())

    const isEmpty = together === undefined ? state.meshes.size === 0 : !(await together.hasMeshes())
    const wantsClaim = settings.admission === 'claims' && isEmpty
    const claim = wantsClaim && openClaims(data, Date.now()).length === 0 ? await newClaim() : null
    driver.start()
    disk.watch(data.path)
    await writeRunning(data, {
      pid: process.pid,
      address,
      http,
      pin: certificate?.pin ?? null,
      control: socketPath,
      metrics: metricsUrl,
      startedMs,
    })
    started = true
    log.info({ port: listening.port, meshes: state.meshes.size }, 'relay is up')
    return {
      address,
      http,
      metrics: metricsUrl,
      claim,
      reload,
      async stop() {
        const closed = listening.close()
        await driver.stop()
        await together?.stop()
        await closed
        await removeRunning(data)
        await endAll()
        log.info('relay is down')
      },
    }
  } catch (error) {
    await endAll()
    throw error
  }
}

const GENERATION_BYTES = 16
const SWEEP_MS = 1_000
/** How long a start waits for NATS before it goes on without. */
const CLUSTER_WAIT_MS = 10_000

/** Loaded only where there is a cluster. */
async function clusterParts(addresses: string) {
  const [{ Cluster }, { natsOptions }] = await Promise.all([
    import('./cluster/cluster.ts'),
    import('./cluster/nats.ts'),
  ])
  const nats = natsOptions(addresses, process.env)
  return { join: (deps: Omit<ConstructorParameters<typeof Cluster>[0], 'nats'>) => new Cluster({ ...deps, nats }) }
}

async function startCluster(cluster: { start(): Promise<void> }, log: Logger): Promise<void> {
  try {
    await cluster.start()
  } catch (error) {
    log.error({ error: String(error) }, 'this cluster cannot be joined: nobody is let in')
    throw error
  }
}

const HEALTH = { ok: 'ok', DISK_FULL: 'disk full', DISK_FAILED: 'disk failed' } as const

/** A file that cannot be used changes nothing, and is named in the log and to whoever asked. */
async function readAgain(
  { data, readSettings }: RelayOptions,
  now: Settings,
  log: Logger,
): Promise<{ next: Settings; said: Reloaded; renewed: Certificate | null }> {
  try {
    const { settings: next, said } = reloaded(now, await readSettings())
    return { next, said, renewed: next.tls.type === 'files' ? await certificateFor(data, next) : null }
  } catch (error) {
    log.error({ error: error instanceof Error ? error.message : 'unknown' }, 'the settings are as they were')
    throw error
  }
}

async function freeBytes(path: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  } catch {
    return null // Some file systems do not say.
  }
}

function certificateFor(data: DataDirectory, settings: Settings): Promise<Certificate | null> {
  const { tls } = settings
  switch (tls.type) {
    case 'none':
      return Promise.resolve(null)
    case 'files':
      return fromFiles(tls.cert, tls.key)
    case 'self-signed':
      return selfSigned(data, publicHostOf(settings), Date.now())
  }
}

function addressesOf(
  settings: Settings,
  certificate: Certificate | null,
  port: number,
  relay: Parameters<typeof formatRelayAddress>[0]['relay'],
): { address: string; http: string } {
  const tls = certificate !== null
  const pin = certificate?.pin ?? null
  const local = isAnywhere(settings.host) ? '127.0.0.1' : settings.host
  const http = `${tls ? 'https' : 'http'}://${bracketed(local)}:${port}`
  const { publicUrl, trustedProxy } = settings
  // A proxy that says whom it forwards for has ended TLS: nodes see its certificate.
  if (publicUrl !== null)
    return { address: formatRelayAddress({ url: publicUrl, relay, pin: trustedProxy === null ? pin : null }), http }
  const url = `${tls ? 'wss' : 'ws'}://${bracketed(publicHostOf(settings))}:${port}`
  return { address: formatRelayAddress({ url, relay, pin }), http }
}

function publicHostOf({ publicHost, host }: Settings): string {
  if (publicHost !== null) return publicHost
  if (!isAnywhere(host)) return host
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
}

const isAnywhere = (host: string): boolean => host === '0.0.0.0' || host === '::'
const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host)

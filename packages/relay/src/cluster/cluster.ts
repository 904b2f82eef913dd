import { setTimeout as delay } from 'node:timers/promises'
import type { Duplex } from 'node:stream'
import { toHex, utf8 } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { MeshId } from '@sealmesh/protocol/ids'
import { loginMessage } from '@sealmesh/protocol/wire/challenge'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import { decodeTokenChain } from '@sealmesh/protocol/wire/token'
import type { Logger } from 'pino'
import type { WebSocket } from 'ws'
import type { ClaimKey, RelayEvent } from '../core/event.ts'
import { keyName } from '../core/key-name.ts'
import type { RelayState, World } from '../core/state.ts'
import type { Greeted } from '../driver.ts'
import type { Store, StoreEvents } from '../store/store.ts'
import { ClusterClaims } from './cluster-claims.ts'
import { type ClusterFigures, ClusterTally } from './cluster-tally.ts'
import { ClusterStore } from './cluster-store.ts'
import { Front } from './front.ts'
import { HomeLinks } from './home-links.ts'
import { type Home, Homes } from './homes.ts'
import { JetStreamLog } from './jetstream-log.ts'
import { connectNats, type Nats, type NatsOptions } from './nats.ts'
import { Peers } from './peers.ts'
import { prepareStreams } from './streams.ts'
import { CLUSTER_STREAM, GENERATION_SUBJECT, RELAY_SUBJECT, SHARDS, shardName, shardStream } from './subjects.ts'
import { KINDS, type TunnelRecord } from './tunnel-codec.ts'

export interface ClusterDeps {
  readonly nats: NatsOptions
  /** Its generation is filled in when JetStream has said it: before the first challenge. */
  readonly state: RelayState
  readonly events: StoreEvents
  readonly world: () => World
  readonly random: (bytes: number) => Uint8Array
  /** Claim codes that this relay has made. */
  readonly ownClaims: () => readonly ClaimKey[]
  readonly log: Logger
}

/** The core's driver, as far as a cluster needs it. */
export interface ClusterDriver {
  feed(event: RelayEvent): void
  connect(ws: WebSocket, socket: Duplex, address: string, welcomed: () => void, greeted?: Greeted): void
}

/** What runs once NATS is there. */
interface Running {
  readonly nats: Nats
  readonly log: JetStreamLog
  readonly store: ClusterStore
  readonly homes: Homes
  readonly claims: ClusterClaims
  readonly peers: Peers
  readonly links: HomeLinks
}

const CHECK_MS = 5_000
const START_AGAIN_MS = 1_000
const CLAIM_AGAIN_MS = 400
/** Together longer than `PUBLISH_MS`, and well within a login's time. */
const CLAIM_ATTEMPTS = 5
/** Claim codes that were made at this relay are known to the others after this long. */
const PUBLISH_MS = 1_000
const RELEASE_WAIT_MS = 2_000

/**
 * One relay of several that are one (docs/spec/15-cluster.md): it greets nodes, and is home of some meshes. While NATS
 * is not there, or JetStream has no leader, nodes are told when to come back.
 */
export class Cluster {
  readonly #deps: ClusterDeps
  readonly #instance: string
  readonly #front: Front
  readonly #tally = new ClusterTally()
  readonly #abort = new AbortController()
  #driver: ClusterDriver | null = null
  #running: Running | null = null
  #isConnected = false
  #checking: NodeJS.Timeout | null = null
  #publishing: NodeJS.Timeout | null = null

  constructor(deps: ClusterDeps) {
    this.#deps = deps
    this.#instance = toHex(deps.random(16))
    deps.state.repeats = new Map()
    this.#front = new Front({
      state: deps.state,
      world: deps.world,
      random: deps.random,
      isReady: () => this.isReady,
      homeOf: (login, nonce) => this.#homeOf(login, nonce),
      tell: (peer, lane, record) => this.#running?.peers.tell(peer, lane, record),
      connect: (ws, socket, address, welcomed, greeted) =>
        this.#driver?.connect(ws, socket, address, welcomed, greeted),
    })
  }

  get isReady(): boolean {
    return this.#running !== null && this.#isConnected
  }

  /** For the driver: nothing is persisted or read before a mesh is here. */
  get store(): Pick<Store, 'persist' | 'read' | 'readChunk'> {
    return {
      persist: (operations, receipt) => this.#running?.store.persist(operations, receipt),
      read: async (mesh, mailbox, first, last) => (await this.#running?.store.read(mesh, mailbox, first, last)) ?? [],
      readChunk: async (mesh, vault, chunk) => (await this.#running?.store.readChunk(mesh, vault, chunk)) ?? null,
    }
  }

  get claims(): readonly ClaimKey[] {
    return this.#running?.claims.open ?? []
  }

  get figures(): ClusterFigures {
    const { store, links } = this.#running ?? {}
    return {
      tally: this.#tally,
      isReady: this.isReady,
      homes: store?.meshes().length ?? 0,
      carried: { front: this.#front.count, home: links?.count ?? 0 },
      waitingBytes: store?.waitingBytes ?? 0,
    }
  }

  attach(driver: ClusterDriver): void {
    this.#driver = driver
  }

  /** In the place of the driver's. */
  connect(ws: WebSocket, socket: Duplex, address: string, welcomed: () => void): void {
    this.#front.greet(ws, socket, address, welcomed)
  }

  /** Resolves when it is ready. Fails with CLUSTER_UNFIT or USAGE alone: for all else it goes on trying. */
  async start(): Promise<void> {
    const nats = await connectNats(this.#deps.nats, 'sealmesh-relay')
    if (this.#abort.signal.aborted) return closeNats(nats)
    for (;;) {
      try {
        const running = await this.#begin(nats)
        if (this.#abort.signal.aborted) return closeNats(nats)
        this.#running = running
        break
      } catch (error) {
        if (error instanceof Failure || this.#abort.signal.aborted) {
          await closeNats(nats)
          throw error
        }
        this.#deps.log.warn({ error: String(error) }, 'JetStream is not ready: nodes are told to come back')
        await delay(START_AGAIN_MS)
      }
    }
    this.#isConnected = true
    void this.#watch(nats)
    this.#checking = setInterval(() => void this.#check().catch(() => undefined), CHECK_MS)
    this.#publishing = setInterval(() => void this.#running?.claims.publish().catch(() => undefined), PUBLISH_MS)
    this.#deps.log.info('the cluster is ready')
  }

  /** Whether any mesh was ever let in. */
  async hasMeshes(): Promise<boolean> {
    const { log } = this.#running ?? {}
    if (log === undefined) return true
    for (let shard = 0; shard < SHARDS; shard++)
      if ((await log.rows(shardStream(shard), `sm.m.${shardName(shard)}.*.m`, 1)).length > 0) return true
    return false
  }

  /** After the driver has stopped: what it has asked for is stored, and its meshes are free to be taken. */
  async stop(): Promise<void> {
    this.#abort.abort()
    this.#front.stop()
    if (this.#checking !== null) clearInterval(this.#checking)
    if (this.#publishing !== null) clearInterval(this.#publishing)
    const running = this.#running
    if (running === null) return
    await running.store.close()
    await Promise.race([running.homes.releaseAll(), delay(RELEASE_WAIT_MS, undefined, { ref: false })])
    running.peers.stop()
    await closeNats(running.nats)
  }

  async #begin(nats: Nats): Promise<Running> {
    const { state, events, random } = this.#deps
    const { sodium } = this.#deps.world()
    await prepareStreams(nats.bulk, Math.max(this.#deps.nats.servers.length, nats.bulk.info?.connect_urls?.length ?? 1))
    const log = new JetStreamLog(nats.bulk)
    const relay = await rowOrNew(log, RELAY_SUBJECT, utf8(state.relay))
    if (Buffer.from(relay).toString() !== state.relay)
      throw new Failure('CLUSTER_UNFIT', 'The relays of this cluster have another key than this one.', {
        next: 'copy the key file of the cluster’s first relay into this data directory: docs/relay/cluster.md',
      })
    state.generation.set(await rowOrNew(log, GENERATION_SUBJECT, random(16)))
    const gone = (mesh: MeshId): void => this.#driver?.feed({ type: 'meshGone', mesh })
    const tally = this.#tally
    const store = new ClusterStore({ log, events, onLost: gone, now: () => performance.now(), tally })
    const tell = (peer: string, lane: 'control' | 'bulk', record: TunnelRecord): void => peers.tell(peer, lane, record)
    const homes: Homes = new Homes({
      log,
      store,
      sodium,
      now: () => this.#deps.world().nowMs,
      instance: this.#instance,
      isDead: (instance) => peers.isDead(instance),
      onCame: (loaded) => this.#driver?.feed({ ...loaded, type: 'meshCame' }),
      onGone: gone,
      tellTaken: (instance, mesh) =>
        tell(instance, 'control', { kind: KINDS.taken, link: 0, bytes: Buffer.from(mesh, 'hex') }),
      tally,
    })
    const links = new HomeLinks({
      tell,
      // One that stops takes nobody on: its meshes are free in a moment.
      isHere: async (mesh) => !state.stopping && (await homes.find(mesh, false)).type === 'here',
      connect: (ws, socket, address, welcomed, greeted) =>
        this.#driver?.connect(ws, socket, address, welcomed, greeted),
    })
    const peers: Peers = new Peers({
      nats,
      instance: this.#instance,
      onRecord: (sender, record) => {
        if (record.kind === KINDS.taken) void homes.check(toHex(record.bytes) as MeshId).catch(() => undefined)
        else if (HOMEWARD.has(record.kind)) links.take(sender, record)
        else this.#front.take(sender, record)
      },
      onLost: (peer) => {
        links.lost(peer)
        this.#front.lost(peer)
      },
      isNeeded: (peer) => links.has(peer) || this.#front.has(peer),
    })
    peers.start()
    return { nats, log, store, homes, links, peers, claims: new ClusterClaims(log, this.#deps.ownClaims) }
  }

  async #check(): Promise<void> {
    const { homes } = this.#running ?? {}
    const { state, world } = this.#deps
    await homes?.checkAll()
    await homes?.releaseIdle((mesh) => (state.meshes.get(mesh)?.connections ?? 0) > 0, world().steadyMs)
  }

  async #watch(nats: Nats): Promise<void> {
    for await (const { type } of nats.control.status()) {
      if (type === 'disconnect') this.#isConnected = false
      else if (type === 'reconnect') {
        this.#isConnected = true
        void this.#running?.homes.checkAll().catch(() => undefined)
      } else continue
      this.#deps.log.warn(this.#isConnected ? 'NATS is there again' : 'NATS is gone: nodes are told to come back')
    }
  }

  async #homeOf(login: FrameOf<'login'>, nonce: Uint8Array): Promise<{ mesh: MeshId; home: Home } | undefined> {
    const running = this.#running
    if (running === null) throw new Error('the cluster is not ready')
    const { homes, claims } = running
    const { relay, generation } = this.#deps.state
    const { sodium } = this.#deps.world()
    const chain = decodeTokenChain(login.chain)
    if (!chain.ok) return undefined
    // Whoever did not sign it has no business in the streams.
    const { nonce: nodeNonce, chain: sent, loginKey, signature, claim } = login
    const message = loginMessage({ relay, relayNonce: nonce, generation, nodeNonce, chain: sent })
    if (!sodium.verify(signature, message, loginKey)) return undefined
    const mesh = chain.value[0]?.mesh ?? (await this.#meshOf(running, keyName(loginKey, sodium)))
    if (mesh === undefined) return undefined
    let admits = false
    if (claim !== null) {
      // The relay where it was made may not have told it yet, or the replica that is asked not have heard it.
      for (let attempt = 0; attempt < CLAIM_ATTEMPTS && !admits; attempt++) {
        if (attempt > 0) await delay(CLAIM_AGAIN_MS)
        await claims.refresh()
        admits = claims.holds(claim, { relay, relayNonce: nonce, mesh }, sodium)
      }
    }
    const home = await homes.find(mesh, admits)
    return home.type === 'unknown' ? undefined : { mesh, home }
  }

  /** Of a login without tokens: the mesh that let it in, or that has removed it, whose home will say so. */
  async #meshOf({ log }: Running, name: string): Promise<MeshId | undefined> {
    for (const row of [`l.${name}`, `r.0.${name}`]) {
      const found = await Promise.all(
        Array.from({ length: SHARDS }, (_, shard) =>
          log.rows(shardStream(shard), `sm.m.${shardName(shard)}.*.${row}`, 1),
        ),
      )
      const entry = found.flat().find(({ isGone }) => !isGone)
      if (entry !== undefined) return entry.subject.split('.')[3] as MeshId
    }
    return undefined
  }
}

/** From a front to a home. */
const HOMEWARD: ReadonlySet<number> = new Set([KINDS.open, KINDS.up, KINDS.endUp, KINDS.creditDown])

/** One value for all relays: that of whoever came first. */
async function rowOrNew(log: JetStreamLog, subject: string, fresh: Uint8Array): Promise<Uint8Array> {
  const known = await log.row(CLUSTER_STREAM, subject)
  if (known !== null) return known.payload
  if ((await log.replace(subject, fresh, 0)) !== null) return fresh
  const other = await log.row(CLUSTER_STREAM, subject)
  if (other === null) throw new Error('JetStream has lost a row')
  return other.payload
}

async function closeNats({ control, bulk }: Nats): Promise<void> {
  await Promise.allSettled([control.drain(), bulk.drain()])
}

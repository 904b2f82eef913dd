import { ActJournal } from '@sealmesh/node/failover/act-journal'
import type { Acknowledgements } from '@sealmesh/node/failover/acknowledgements'
import { Failover, type FailoverNews } from '@sealmesh/node/failover/failover'
import { LeaseStore } from '@sealmesh/node/failover/lease-store'
import { openAcknowledgements } from '@sealmesh/node/failover/open-acknowledgements'
import { ClosedSets } from '@sealmesh/node/documents/closed-sets'
import { type Commit, Documents } from '@sealmesh/node/documents/documents'
import type { TestMesh, TestNode } from '@sealmesh/node/documents/fixture'
import { HomeHealth } from '@sealmesh/node/health/home-health'
import { HomeWatch } from '@sealmesh/node/health/home-watch'
import { LogKeeper, storedRecord } from '@sealmesh/node/membership/log-keeper'
import type { ServiceContext } from '@sealmesh/node/service/context'
import { DamageBook } from '@sealmesh/node/store/damage-book'
import { DocumentIndex } from '@sealmesh/node/store/document-index'
import type { Database } from '@sealmesh/node/store/database'
import { TABLES } from '@sealmesh/node/store/keys'
import { Meta } from '@sealmesh/node/store/meta'
import { ReceiptStore } from '@sealmesh/node/store/receipt-store'
import { RecordStore } from '@sealmesh/node/store/record-store'
import { StandingStore } from '@sealmesh/node/store/standing-store'
import { openStore, type Store } from '@sealmesh/node/store/store'
import { decodedBlock } from '@sealmesh/node/store/survey'
import { MeshSync } from '@sealmesh/node/sync/mesh-sync'
import type { HeardHeads, MeshSyncDeps } from '@sealmesh/node/sync/mesh-sync-deps'
import { PacketPort } from '@sealmesh/node/sync/packet-port'
import { Forks } from '@sealmesh/node/trust/forks'
import { Withholdings } from '@sealmesh/node/trust/withholdings'
import type { dial } from '@sealmesh/node/uplink/dial'
import type { SeenGeneration } from '@sealmesh/node/uplink/greeting'
import { openRelayLink, type RelayLink, type RelayLinkOptions } from '@sealmesh/node/uplink/relay-link'
import { fromUtf8, utf8 } from '@sealmesh/protocol/bytes'
import { redialMsMax } from '@sealmesh/protocol/failover/redial'
import { mintIncarnation } from '@sealmesh/protocol/crdt/incarnation'
import type { OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import type { AgentId, IncarnationId, NodeId, PacketId, RelayId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey, SealPublicKey } from '@sealmesh/protocol/keys'
import { PREKEY_LIFE_MS } from '@sealmesh/protocol/limits'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Withheld } from '@sealmesh/protocol/sync/withholding'
import { signRevocation } from '@sealmesh/protocol/wire/revocation'
import { encodeTokenChain, issueToken } from '@sealmesh/protocol/wire/token'

/** As the node keeps it: with what else its disk holds. */
const GENERATION = 'relay-generation'

const HELD_CHECK_MS = 15_000

export interface NodeDeps {
  readonly sodium: Sodium
  readonly mesh: TestMesh
  readonly self: TestNode
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly mailboxes: OwnMailboxes
  /** The newest first; one more with each record that it signs. */
  readonly prekeys: KeyPair<SealPublicKey, 'seal'>[]
  readonly database: Database
  readonly clock: NodeClock
  /** Of every start another one. */
  readonly incarnationSalt: Uint8Array
  readonly random: (bytes: number) => Uint8Array
  readonly dice: () => number
  readonly relay: RelayId
  readonly url: string
  readonly dial: typeof dial
  /** What it seals, by packet. */
  readonly onSealed: (packet: PacketId, to: NodeId, payload: Uint8Array) => void
  readonly onHeads: (from: NodeId, heard: HeardHeads) => void
  readonly onCommit: (commit: Commit) => void
  readonly onNews: (from: NodeId, withheld: Withheld, healed: boolean) => void
  readonly onError: (fields: object, text: string) => void
  /** Somebody keeps leases; undefined: terms are the log's alone. */
  readonly leases?: { readonly told: (agent: AgentId, news: FailoverNews) => void }
}

/** What a machine's clocks show. */
export interface NodeClock {
  wallMs(): number
  /** Since the machine was started; stands while it sleeps. */
  monotonicMs(): number
  /** The same, sleep counted. */
  uptimeMs(): number
}

/** What failover adds to a node. */
interface Leases {
  readonly failover: Failover
  readonly acknowledgements: Acknowledgements
  readonly close: () => Promise<void>
}

/** Everything of a node that speaks with relays, as `main.ts` puts it together: documents, log, packets, sync, link. */
export class SimulatedNode {
  readonly id: NodeId
  readonly documents: Documents
  readonly log: LogKeeper
  readonly sync: MeshSync
  readonly forks: Forks
  readonly withholdings: Withholdings
  readonly health: HomeHealth
  readonly #store: Store
  readonly #watch: HomeWatch
  readonly #due: NodeJS.Timeout
  readonly #generations: RelayLinkOptions['generations']
  readonly #deps: NodeDeps
  #link: RelayLink
  #leases: Leases | undefined

  private constructor(
    deps: NodeDeps,
    parts: Pick<SimulatedNode, 'documents' | 'log' | 'sync' | 'forks' | 'withholdings' | 'health'>,
    store: Store,
    watch: HomeWatch,
    generations: RelayLinkOptions['generations'],
  ) {
    this.id = deps.self.id
    this.#deps = deps
    this.#store = store
    this.#watch = watch
    this.#generations = generations
    this.health = parts.health
    this.documents = parts.documents
    this.log = parts.log
    this.sync = parts.sync
    this.forks = parts.forks
    this.withholdings = parts.withholdings
    this.#link = this.#connect()
    this.#due = setInterval(() => {
      this.documents.rest()
      this.documents.meshChanged().catch((err: unknown) => deps.onError({ err }, 'held blocks were not judged again'))
    }, HELD_CHECK_MS)
    this.sync.attach({ send: (packet) => this.#link.send(packet) })
  }

  static async start(deps: NodeDeps): Promise<SimulatedNode> {
    const { sodium, mesh, self, clock, random, database } = deps
    const store = await openStore(self.id, database)
    const silent = { info: () => {}, warn: () => {}, error: deps.onError } as unknown as MeshSyncDeps['logger']
    const surveyed = {
      store,
      sodium,
      decode: (bytes: Uint8Array) => decodedBlock(bytes, sodium),
      exists: () => true,
    }
    const meta = new Meta(store)
    const { records, stored } = await RecordStore.load(store)
    const begun = [...mesh.mesh.records.values()]
    const learnt = stored.map((bytes) => storedRecord(bytes, sodium))
    const known = new Map([...begun, ...learnt].map((record) => [record.hash, record]))
    const membership = MembershipLog.restore(mesh.id, known.values(), sodium)
    const now = () => clock.wallMs()
    const monotonicMs = () => clock.monotonicMs()
    const log = new LogKeeper({ log: membership, records, sodium, now })
    const incarnation = mintIncarnation(self.id, deps.incarnationSalt, sodium)
    const signKey = self.keys.secretKey
    const closed = await ClosedSets.load(store, sodium)
    const index = await DocumentIndex.load(store)
    const damage = await DamageBook.load(surveyed)
    const documents = new Documents({
      store,
      index,
      damage,
      standings: await StandingStore.load(store),
      closed,
      sodium,
      log: silent,
      node: self.id,
      mesh: () => log.mesh,
      signKey,
      incarnation,
      random,
      now,
      fence: (agent) => node.#leases?.failover.fence(agent) ?? null,
    })
    const port = new PacketPort({
      sodium,
      node: self.id,
      incarnation,
      signKey,
      mailboxes: deps.mailboxes,
      prekeys: () => deps.prekeys,
      mesh: () => log.mesh,
      random,
      now,
    })
    const seal = port.seal.bind(port)
    port.seal = (to, payload, lifeMs) => {
      const packet = seal(to, payload, lifeMs)
      if (packet !== undefined) deps.onSealed(packet.id, to, payload)
      return packet
    }
    const withholdings = new Withholdings({
      mesh: () => log.mesh,
      aheadMs: () => now() - monotonicMs(),
      isBusy: (name) => documents.isComing(name),
      onNews: deps.onNews,
    })
    const sync = new MeshSync({
      node: self.id,
      sodium,
      documents,
      log,
      closed,
      index,
      receipts: new ReceiptStore(store, TABLES.receipt, closed),
      handed: new ReceiptStore(store, TABLES.handed, closed),
      port,
      onUnopened: () => {},
      onProgress: (_, names) => node.#leases?.acknowledgements.progressed(names),
      onFailover: (from, item, lacksRecords) => node.#leases?.failover.onItem(from, item, lacksRecords),
      onHeads: (from, heard) => {
        withholdings.heard(from, heard)
        deps.onHeads(from, heard)
      },
      monotonicMs,
      wallMs: now,
      logger: silent,
    })
    const forks = new Forks({ documents, index, onNews: () => {} })
    documents.onCommit(deps.onCommit)
    log.onChange(async (changed) => {
      port.meshChanged(changed)
      await documents.meshChanged()
      node.#leases?.failover.meshChanged()
      await sync.meshChanged(changed)
    })
    sync.meet(log.mesh)
    const failed = (err: unknown) => deps.onError({ err }, 'the state of this home could not be kept')
    const health = await HomeHealth.load(meta, now, failed)
    const watch = new HomeWatch({
      health,
      documents,
      damage,
      sync,
      mesh: () => log.mesh,
      node: self.id,
      startedAtMs: now(),
      failed,
    })
    const read = await meta.readBytes(GENERATION)
    let seen = read && (JSON.parse(fromUtf8(read) ?? 'null') as SeenGeneration)
    const generations = {
      read: () => seen,
      write: (now: SeenGeneration) => {
        seen = now
        meta.writeBytes(GENERATION, utf8(JSON.stringify(now))).catch(failed)
      },
    }
    const parts = { documents, log, sync, forks, withholdings, health }
    const node: SimulatedNode = new SimulatedNode(deps, parts, store, watch, generations)
    await sync.meshChanged(log.mesh)
    if (deps.leases !== undefined) await node.#beginLeases(deps.leases.told, store, meta, port, incarnation)
    return node
  }

  /** A new prekey of its own: a record that others have to learn. */
  async signRecord(): Promise<void> {
    const { self, mailboxes, prekeys, clock, sodium, random } = this.#deps
    const pair = sodium.sealKeys(random(32))
    prekeys.unshift(pair)
    const { publicKey } = pair
    const notBeforeMs = clock.wallMs()
    const life = { notBeforeMs, expiresMs: notBeforeMs + PREKEY_LIFE_MS }
    await this.log.append(
      { type: 'prekey', node: self.id, publicKey, ...life, mailboxes: mailboxes.announced(life) },
      { type: 'node', node: self.id },
      self.keys.secretKey,
    )
  }

  /** What the handlers of the local socket work on, but what no handler of these tests touches. */
  get context(): ServiceContext & { readonly sync: MeshSync } {
    const { self, sodium, clock } = this.#deps
    const { documents, log, sync } = this
    const incarnation = documents.incarnation
    const parts = { node: this.id, incarnation, signKey: self.keys.secretKey, log, documents, sync, sodium }
    return { ...parts, now: () => clock.wallMs() } as unknown as ServiceContext & { readonly sync: MeshSync }
  }

  /** Only with `leases`. */
  get failover(): Failover {
    return this.#leases!.failover
  }

  get acknowledgements(): Acknowledgements {
    return this.#leases!.acknowledgements
  }

  /** As `main.ts` does it. */
  async #beginLeases(
    told: (agent: AgentId, news: FailoverNews) => void,
    store: Store,
    meta: Meta,
    port: PacketPort,
    incarnation: IncarnationId,
  ): Promise<void> {
    const { sodium, self, clock, random, dice, relay, onError } = this.#deps
    const { documents, log, sync, health } = this
    const logger = { info: () => {}, warn: () => {}, error: onError } as unknown as MeshSyncDeps['logger']
    const common = { node: this.id, signKey: self.keys.secretKey, log, documents, sync, logger }
    const link = () => this.#link
    const failover = new Failover({
      ...common,
      incarnation,
      sodium,
      random,
      dice,
      moment: () => ({ monotonicMs: clock.monotonicMs(), uptimeMs: clock.uptimeMs() }),
      now: () => clock.wallMs(),
      port,
      link: {
        send: (packet) => link().send(packet),
        link: () => (link().status.state === 'live' ? link() : undefined),
        names: (named) => named === relay,
        drained: () => link().drained(),
      },
      store: await LeaseStore.load(meta),
      journal: new ActJournal(store),
      health,
      told,
    })
    const acknowledging = openAcknowledgements({ ...common, lease: failover }, () => clock.monotonicMs())
    this.#leases = {
      failover,
      acknowledgements: acknowledging.acknowledgements,
      close: async () => {
        acknowledging.close()
        await failover.close()
      },
    }
    failover.start()
  }

  get linkState(): string {
    return this.#link.status.state
  }

  /** As `service/devices.ts` does it: a removed node that still runs cannot connect. */
  tellRelayOfRevoked(): void {
    const { sodium, mesh } = this.#deps
    const { nodes } = this.log.mesh
    if (nodes.get(this.id)?.admin !== true) return
    for (const { loginKey, revocations } of nodes.values()) {
      if (revocations.length === 0) continue
      const draft = { mesh: mesh.id, loginKey, adminKey: null, chain: [] }
      // Without a link it is told when there is one again.
      this.#link.revoke(signRevocation(draft, mesh.root.secretKey, sodium)).catch(() => undefined)
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#due)
    await this.#leases?.close()
    this.#watch.close()
    await this.health.close()
    await this.#link.close()
    await this.sync.close()
    await this.documents.close()
    await this.#store.close()
  }

  #connect(): RelayLink {
    const { sodium, mesh, login, mailboxes, clock, relay, url, dice } = this.#deps
    const draft = {
      mesh: mesh.id,
      loginKey: login.publicKey,
      adminKey: null,
      kind: 'node',
      mailbox: null,
      expiresMs: 0,
    } as const
    return openRelayLink({
      address: { relay, url, pin: null },
      login: {
        mesh: mesh.id,
        keys: login,
        token: encodeTokenChain([issueToken(draft, 'root', mesh.root.secretKey, sodium)]),
      },
      mailboxes: () => mailboxes.secrets(clock.wallMs()),
      sodium,
      log: { info: () => {} },
      generations: this.#generations,
      backoffMsMax: () => redialMsMax(this.log.mesh, this.id),
      onEvent: (event) => {
        this.sync.onLinkEvent(event)
        this.#watch.onLinkEvent(event)
        this.#leases?.failover.onLinkEvent(event)
        this.#leases?.failover.onRelay(relay, event)
        if (event.type === 'live') this.tellRelayOfRevoked()
      },
      now: () => clock.monotonicMs(),
      dice,
      dial: this.#deps.dial,
    })
  }
}

import { ClosedSets } from '@sealmesh/node/documents/closed-sets'
import { type Commit, Documents } from '@sealmesh/node/documents/documents'
import type { TestMesh, TestNode } from '@sealmesh/node/documents/fixture'
import { LogKeeper } from '@sealmesh/node/membership/log-keeper'
import { DamageBook } from '@sealmesh/node/store/damage-book'
import { DocumentIndex } from '@sealmesh/node/store/document-index'
import type { Database } from '@sealmesh/node/store/database'
import { TABLES } from '@sealmesh/node/store/keys'
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
import { openRelayLink, type RelayLink } from '@sealmesh/node/uplink/relay-link'
import { mintIncarnation, SALT_BYTES } from '@sealmesh/protocol/crdt/incarnation'
import type { OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import type { NodeId, PacketId, RelayId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey, SealPublicKey } from '@sealmesh/protocol/keys'
import { PREKEY_LIFE_MS } from '@sealmesh/protocol/limits'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Withheld } from '@sealmesh/protocol/sync/withholding'
import { encodeTokenChain, issueToken } from '@sealmesh/protocol/wire/token'
import type { VirtualTime } from './virtual-time.ts'

export interface NodeDeps {
  readonly sodium: Sodium
  readonly mesh: TestMesh
  readonly self: TestNode
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly mailboxes: OwnMailboxes
  /** The newest first; one more with each record that it signs. */
  readonly prekeys: KeyPair<SealPublicKey, 'seal'>[]
  readonly database: Database
  readonly time: VirtualTime
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
}

/** Everything of a node that speaks with relays, as `main.ts` puts it together: documents, log, packets, sync, link. */
export class SimulatedNode {
  readonly id: NodeId
  readonly documents: Documents
  readonly log: LogKeeper
  readonly sync: MeshSync
  readonly forks: Forks
  readonly withholdings: Withholdings
  readonly #store: Store
  readonly #deps: NodeDeps
  #link: RelayLink
  #seen: SeenGeneration | undefined

  private constructor(
    deps: NodeDeps,
    parts: Pick<SimulatedNode, 'documents' | 'log' | 'sync' | 'forks' | 'withholdings'>,
    store: Store,
  ) {
    this.id = deps.self.id
    this.#deps = deps
    this.#store = store
    this.documents = parts.documents
    this.log = parts.log
    this.sync = parts.sync
    this.forks = parts.forks
    this.withholdings = parts.withholdings
    this.#link = this.#connect()
    this.sync.attach({ send: (packet) => this.#link.send(packet) })
  }

  static async start(deps: NodeDeps): Promise<SimulatedNode> {
    const { sodium, mesh, self, time, random, database } = deps
    const store = await openStore(self.id, database)
    const silent = { info: () => {}, warn: () => {}, error: deps.onError } as unknown as MeshSyncDeps['logger']
    const surveyed = {
      store,
      sodium,
      decode: (bytes: Uint8Array) => decodedBlock(bytes, sodium),
      exists: () => true,
    }
    const membership = MembershipLog.restore(mesh.id, mesh.mesh.records.values(), sodium)
    const { records } = await RecordStore.load(store)
    const now = () => time.nowMs
    const log = new LogKeeper({ log: membership, records, sodium, now })
    const incarnation = mintIncarnation(self.id, random(SALT_BYTES), sodium)
    const signKey = self.keys.secretKey
    const closed = await ClosedSets.load(store, sodium)
    const index = await DocumentIndex.load(store)
    const documents = new Documents({
      store,
      index,
      damage: await DamageBook.load(surveyed),
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
      aheadMs: () => 0,
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
      onAwareness: () => {},
      onHeads: (from, heard) => {
        withholdings.heard(from, heard)
        deps.onHeads(from, heard)
      },
      monotonicMs: now,
      wallMs: now,
      logger: silent,
    })
    const forks = new Forks({ documents, index, onNews: () => {} })
    documents.onCommit(deps.onCommit)
    log.onChange(async (changed) => {
      port.meshChanged(changed)
      await documents.meshChanged()
      await sync.meshChanged(changed)
    })
    sync.meet(log.mesh)
    const node = new SimulatedNode(deps, { documents, log, sync, forks, withholdings }, store)
    await sync.meshChanged(log.mesh)
    return node
  }

  /** A new prekey of its own: a record that others have to learn. */
  async signRecord(): Promise<void> {
    const { self, mailboxes, prekeys, time, sodium, random } = this.#deps
    const pair = sodium.sealKeys(random(32))
    prekeys.unshift(pair)
    const { publicKey } = pair
    const life = { notBeforeMs: time.nowMs, expiresMs: time.nowMs + PREKEY_LIFE_MS }
    await this.log.append(
      { type: 'prekey', node: self.id, publicKey, ...life, mailboxes: mailboxes.announced(life) },
      { type: 'node', node: self.id },
      self.keys.secretKey,
    )
  }

  get linkState(): string {
    return this.#link.status.state
  }

  async stop(): Promise<void> {
    await this.#link.close()
    await this.sync.close()
    await this.documents.close()
    await this.#store.close()
  }

  #connect(): RelayLink {
    const { sodium, mesh, login, mailboxes, time, relay, url, dice } = this.#deps
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
      mailboxes: () => mailboxes.secrets(time.nowMs),
      sodium,
      log: { info: () => {} },
      generations: { read: () => this.#seen, write: (seen) => void (this.#seen = seen) },
      onEvent: (event) => this.sync.onLinkEvent(event),
      now: () => time.nowMs,
      dice,
      dial: this.#deps.dial,
    })
  }
}

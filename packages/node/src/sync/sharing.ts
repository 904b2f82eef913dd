import { setImmediate as nextTurn } from 'node:timers/promises'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { NodeId } from '@sealmesh/protocol/ids'
import { keyOf, type PeerSync } from '@sealmesh/protocol/sync/peer-sync'
import { mayHear, sharedWith } from '@sealmesh/protocol/sync/recipients'
import type { Logger } from 'pino'
import type { Documents } from '../documents/documents.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { ReceiptStore } from '../store/receipt-store.ts'
import { HEARD_LATELY_MS, REACHED_MS } from './mesh-sync-limits.ts'

/** Who a document is shared with is asked of the log: of so many before others get a turn. */
const DOCUMENTS_PER_TURN = 256

export interface SharingDeps {
  readonly node: NodeId
  readonly documents: Documents
  readonly log: LogKeeper
  readonly receipts: ReceiptStore
  readonly handed: ReceiptStore
  readonly peers: () => Iterable<SharingPeer>
  readonly logger: Pick<Logger, 'error'>
}

export interface SharingPeer {
  readonly node: NodeId
  readonly core: PeerSync
  /** Whether this process has read what the store knows of it. */
  met: boolean
}

/** What the store knows of a peer, by the documents' names. */
interface Words {
  readonly receipted: ReadonlyMap<string, VersionVector>
  readonly handed: ReadonlyMap<string, VersionVector>
}

/**
 * Tells each peer's core which documents it has in common with this node, and what is durable of them here. The first
 * time it reads all that in a few passes over the store, while the node is up already; afterwards a new document costs
 * itself alone, and only another membership log makes it look at all of them.
 */
export class Sharing {
  readonly #deps: SharingDeps
  /** Of every document that is here or that a peer named: what is durable of it. */
  readonly #vectors = new Map<string, VersionVector>()
  /** Documents that a peer named and we may read, though we hold nothing of them yet. */
  readonly #interests = new Map<string, DocumentName>()
  /** Documents whose first blocks came from others, until the peers' cores know of them. */
  readonly #brought = new Set<string>()
  /** What the next run looks at. */
  #wanted: 'all' | Map<string, DocumentName> = new Map()
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  #read = false
  #settled = false
  #reachedAtMs = 0
  /** Two passes at once would say the same words twice. */
  #isNoting = false

  constructor(deps: SharingDeps) {
    this.#deps = deps
  }

  /** Until then nothing can be said to a peer, or judged of what it says. */
  get settled(): boolean {
    return this.#settled
  }

  knows(name: DocumentName): boolean {
    return this.#vectors.has(keyOf(name))
  }

  /** In the turn of the commit, so that vectors arrive in their order. Whether the document is a new one. */
  advanced(name: DocumentName, vector: VersionVector, authoredHere: boolean): boolean {
    const isNew = !this.#vectors.has(keyOf(name))
    this.#vectors.set(keyOf(name), vector)
    if (isNew && !authoredHere && this.#read) this.#brought.add(keyOf(name))
    for (const peer of this.#deps.peers()) peer.core.advanced(name, vector, authoredHere)
    return isNew
  }

  /** What is durable of it was found to be another vector than was said. */
  async restate(name: DocumentName): Promise<void> {
    this.#vectors.set(keyOf(name), await this.#deps.documents.claimOf(name))
    await this.refresh(name)
  }

  async interestedIn(names: readonly DocumentName[]): Promise<void> {
    for (const name of names) this.#interests.set(keyOf(name), name)
    await Promise.all(names.map((name) => this.refresh(name)))
  }

  /** Something of it that a peer sent could not be used before, and can be now. False: it has to be asked later. */
  async askFor(core: PeerSync, name: DocumentName, nowMs: number): Promise<boolean> {
    if (!this.knows(name)) await this.interestedIn([name])
    return core.ask(name, nowMs)
  }

  /** Waits for what has been asked for. */
  async done(): Promise<void> {
    await (this.#next ?? this.#running)
  }

  /** One run at a time over the newest state: an older run that overtakes a newer one would drop its documents. */
  refresh(what: 'all' | DocumentName): Promise<void> {
    if (what === 'all') this.#wanted = 'all'
    else if (this.#wanted !== 'all') this.#wanted.set(keyOf(what), what)
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        const wanted = this.#read ? this.#wanted : 'all'
        this.#wanted = new Map()
        this.#running = this.#workOut(wanted)
        return this.#running
      })
    return this.#next
  }

  /**
   * Now and then: whether this node has reached what others have of documents that it had fallen behind with, and which
   * bases nobody goes on with.
   */
  tick(nowMs: number): void {
    if (this.#isNoting || nowMs - this.#reachedAtMs < REACHED_MS) return
    this.#reachedAtMs = nowMs
    this.#isNoting = true
    this.#noteReached()
      .then(() => this.#deps.documents.giveUpSilent((name) => this.#isHeard(name, nowMs)))
      .catch((error: unknown) =>
        this.#deps.logger.error({ err: error }, 'it could not be noted that this node has caught up'),
      )
      .finally(() => {
        this.#isNoting = false
      })
  }

  async #noteReached(): Promise<void> {
    const { documents, peers } = this.#deps
    for (const name of documents.catchUp.documents()) {
      const words = new Map<NodeId, VersionVector>()
      for (const { node, core } of peers()) {
        const word = core.word(name)
        if (word !== undefined) words.set(node, word)
      }
      await documents.reached(name, words)
    }
  }

  /** Whether somebody who has more of it than we claim is there. */
  #isHeard(name: DocumentName, nowMs: number): boolean {
    const claimed = new Map(this.#vectors.get(keyOf(name))?.map((dot) => [dot.incarnation, dot.sequence]))
    return [...this.#deps.peers()].some(({ core }) => {
      if (nowMs - (core.lastHeardAtMs ?? Number.NEGATIVE_INFINITY) > HEARD_LATELY_MS) return false
      return core.word(name)?.some((dot) => dot.sequence > (claimed.get(dot.incarnation) ?? 0)) ?? false
    })
  }

  async #workOut(wanted: 'all' | ReadonlyMap<string, DocumentName>): Promise<void> {
    const { documents } = this.#deps
    if (!this.#read) {
      // A commit meanwhile knows better.
      for (const [name, vector] of await documents.claims())
        if (!this.#vectors.has(keyOf(name))) this.#vectors.set(keyOf(name), vector)
      this.#read = true
    }
    const words = new Map<NodeId, Words>()
    for (const { node, met } of this.#deps.peers()) if (!met) words.set(node, await this.#wordsOf(node))
    const names = wanted === 'all' ? this.#all() : wanted
    let looked = 0
    for (const [key, name] of names) {
      if (!this.#vectors.has(key)) {
        const vector = await documents.claimOf(name)
        if (!this.#vectors.has(key)) this.#vectors.set(key, vector)
      }
      if (++looked % DOCUMENTS_PER_TURN === 0) await nextTurn()
      for (const peer of this.#deps.peers()) await this.#tell(peer, key, name, words.get(peer.node))
      this.#brought.delete(key)
    }
    for (const peer of this.#deps.peers()) peer.met ||= words.has(peer.node)
    if (wanted === 'all') this.#dropOthers()
    this.#settled = true
  }

  async #tell({ node, core }: SharingPeer, key: string, name: DocumentName, words: Words | undefined): Promise<void> {
    const { log, receipts, handed } = this.#deps
    if (!mayHear(log.mesh, name, node)) return
    let said = { receipted: words?.receipted.get(key) ?? [], handed: words?.handed.get(key) ?? [] }
    if (words === undefined && !core.isShared(name))
      said = { receipted: await receipts.read(node, name), handed: await handed.read(node, name) }
    // From here on without a pause: the log of this moment, the vector of this moment.
    const { mesh } = log
    const rights = sharedWith(mesh, name, this.#deps.node, node)
    if (rights === undefined) return
    const vector = this.#vectors.get(key) ?? []
    core.share({ name, ...rights, vector, brought: this.#brought.has(key), ...said })
  }

  #dropOthers(): void {
    const { mesh } = this.#deps.log
    for (const { node, core } of this.#deps.peers()) core.keepOnly((name) => mayHear(mesh, name, node))
  }

  #all(): Map<string, DocumentName> {
    const names = new Map(this.#interests)
    for (const name of this.#deps.documents.names()) names.set(keyOf(name), name)
    return names
  }

  async #wordsOf(peer: NodeId): Promise<Words> {
    const { receipts, handed } = this.#deps
    return { receipted: await receipts.all(peer), handed: await handed.all(peer) }
  }
}

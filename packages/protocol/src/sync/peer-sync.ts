import { compareText, utf8 } from '../bytes.ts'
import type { DocumentName } from '../crdt/block.ts'
import type { VersionVector } from '../crdt/clock.ts'
import { countMissing, digestOf, joinTips } from '../crdt/vector.ts'
import { isIncarnationOf } from '../crdt/incarnation.ts'
import type { NodeId, RecordHash } from '../ids.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import type { DocumentVector, SyncItem } from './payload.ts'

/**
 * Where we stand with one peer: what it has receipted, what is on its way, what we owe it. Holds no socket, clock or
 * database: the driver feeds events and asks for the next packet's plan whenever it may send one, so that load makes
 * batches and idleness makes none (docs/spec/08-sync.md).
 *
 * Invariants, cited where they are kept:
 * (1) Only the peer's own word lowers what is to be sent: the outbox is every block that `receipted` does not cover.
 * (2) `sent` is a guess that saves traffic. Whatever casts doubt on it (a refusal, a new relay, a lost link) sets it
 *     back to `receipted`.
 * (3) A difference in heads is answered by an exchange of vectors, never by a guess about who is right.
 */
export class PeerSync {
  readonly #sodium: Sodium
  readonly #ends: { readonly me: NodeId; readonly peer: NodeId }
  readonly #documents = new Map<string, Shared>()
  #logHeads: readonly RecordHash[] = []
  /** The log heads that our last records or the peer's last packet brought it to. */
  #peerLogHeads: readonly RecordHash[] | undefined
  #sendRecordsAfter: readonly RecordHash[] | undefined
  #wantRecords = false
  #wantedRecordsAtMs = Number.NEGATIVE_INFINITY
  #owesHeads: 'no' | 'yes' | 'fresh' = 'no'
  #root: Uint8Array | undefined
  #rootMatched = false
  #lastHeardAtMs: number | undefined
  #heartbeatAtMs = 0
  #receiptedAtMs = Number.NEGATIVE_INFINITY

  constructor(sodium: Sodium, ends: { readonly me: NodeId; readonly peer: NodeId }) {
    this.#sodium = sodium
    this.#ends = ends
  }

  /** The documents that this peer may read, or writes to, as the membership log has it now. */
  setShared(shared: readonly SharedNow[]): void {
    const named = new Map(shared.map((each) => [keyOf(each.name), each]))
    for (const key of this.#documents.keys()) if (!named.has(key)) this.#documents.delete(key)
    for (const [key, { name, peerReads, bothRead, vector, receipted }] of named) {
      const known = this.#documents.get(key)
      const mine = this.#concerning(peerReads, bothRead, vector)
      if (known !== undefined) Object.assign(known, { peerReads, bothRead, mine })
      else {
        this.#documents.set(key, {
          name,
          peerReads,
          bothRead,
          mine,
          receipted,
          sent: receipted,
          named: undefined,
          owesReceipt: false,
          asks: false,
          askedAtMs: Number.NEGATIVE_INFINITY,
        })
      }
    }
    this.#root = undefined
  }

  /** Our document grew. What others wrote, their own outboxes bring to the peer: we only fill holes when asked. */
  advanced(name: DocumentName, vector: VersionVector, authoredHere: boolean): void {
    const shared = this.#documents.get(keyOf(name))
    if (shared === undefined) return
    const mine = this.#concerning(shared.peerReads, shared.bothRead, vector)
    if (!authoredHere) {
      const before = new Set(shared.mine.map((tip) => tip.hash))
      const grown = mine.filter((tip) => !before.has(tip.hash))
      shared.sent = joinTips(shared.sent, grown)
    }
    shared.mine = mine
    this.#root = undefined
  }

  logChanged(heads: readonly RecordHash[]): void {
    this.#logHeads = heads
    if (this.#peerLogHeads !== undefined && !sameHeads(this.#peerLogHeads, heads))
      this.#sendRecordsAfter = this.#peerLogHeads
  }

  /** After connecting, or when packets for us were lost: compare heads now. */
  greet(nowMs: number): void {
    this.#owesHeads = 'fresh'
    this.#heartbeatAtMs = nowMs + HEARTBEAT_MS
  }

  /** Invariant (2): forget what was on its way; only receipts count. */
  doubt(): void {
    for (const shared of this.#documents.values()) shared.sent = shared.receipted
    if (this.#peerLogHeads !== undefined) this.#sendRecordsAfter = this.#peerLogHeads
  }

  /** Time passed; returns when to call again. */
  tick(nowMs: number): number {
    if (nowMs >= this.#heartbeatAtMs) {
      this.#heartbeatAtMs = nowMs + HEARTBEAT_MS
      if (this.#owesHeads === 'no') this.#owesHeads = 'yes'
      // Heads speak of what both read. What one only writes for the other is sent again until it is receipted.
      for (const shared of this.#documents.values())
        if (shared.peerReads && !shared.bothRead) shared.sent = shared.receipted
    }
    return this.#heartbeatAtMs
  }

  /**
   * One packet's items other than records and blocks, which the driver stores first. `logHeads` are the packet's;
   * `missingRecords` says that they name records we do not have.
   */
  heard(
    items: readonly SyncItem[],
    logHeads: readonly RecordHash[],
    missingRecords: boolean,
    nowMs: number,
  ): Receipt[] {
    this.#lastHeardAtMs = nowMs
    const receipts: Receipt[] = []
    if (missingRecords) this.wantRecords(nowMs)
    const behind = !missingRecords && !sameHeads(logHeads, this.#logHeads)
    const announces = items.some((item) => item.type === 'heads' || item.type === 'want-records')
    // Between announcements a peer that still names old heads has our records on their way to it.
    if (behind && (announces || this.#peerLogHeads === undefined)) this.#sendRecordsAfter = logHeads
    if (this.#peerLogHeads === undefined || announces || !behind) this.#peerLogHeads = logHeads
    for (const item of items) {
      switch (item.type) {
        case 'vectors':
          for (const each of item.documents) this.#heardVector(each, item.asks, nowMs, receipts)
          break
        case 'heads':
          this.#heardHeads(item.fresh, item.root, nowMs, receipts)
          break
        case 'want-records':
          this.#sendRecordsAfter = logHeads
          break
        case 'records':
        case 'blocks':
        case 'awareness':
          break
      }
    }
    return receipts
  }

  /** Blocks of this document were durably received from the peer, or somebody else wrote into it. */
  owesReceipt(name: DocumentName): void {
    const shared = this.#documents.get(keyOf(name))
    if (shared !== undefined) shared.owesReceipt = true
  }

  /** Something that the peer sent cannot be used without what came before it. */
  ask(name: DocumentName, nowMs: number): void {
    const shared = this.#documents.get(keyOf(name))
    if (shared === undefined || nowMs - shared.askedAtMs < ASK_AGAIN_MS) return
    shared.asks = true
    shared.askedAtMs = nowMs
  }

  /** What the peer said stands on records that we lack. They may be in its next packet, so one question is enough. */
  wantRecords(nowMs: number): void {
    if (nowMs - this.#wantedRecordsAtMs < ASK_AGAIN_MS) return
    this.#wantRecords = true
    this.#wantedRecordsAtMs = nowMs
  }

  /** When receipts that are owed may go; undefined when none are owed. */
  receiptsDueMs(): number | undefined {
    for (const shared of this.#documents.values())
      if (shared.owesReceipt) return this.#receiptedAtMs + RECEIPTS_APART_MS
    return undefined
  }

  /** What the next packet should carry; null when there is nothing to say. Call `planned` once it is on its way. */
  plan(nowMs: number): Plan | null {
    const items: SyncItem[] = []
    if (this.#wantRecords) items.push({ type: 'want-records' })
    const due = nowMs >= this.#receiptedAtMs + RECEIPTS_APART_MS || nowMs < this.#receiptedAtMs
    const receipts = due ? take(this.#documents.values(), (shared) => shared.owesReceipt && !shared.asks) : []
    const asking = take(this.#documents.values(), (shared) => shared.asks)
    if (receipts.length > 0) items.push({ type: 'vectors', asks: false, documents: receipts.map(vectorOf) })
    if (asking.length > 0) items.push({ type: 'vectors', asks: true, documents: asking.map(vectorOf) })
    if (this.#owesHeads !== 'no') items.push({ type: 'heads', fresh: this.#owesHeads === 'fresh', root: this.root() })
    const pushes: Push[] = []
    for (const shared of this.#documents.values()) {
      if (pushes.length === PUSHES_MAX) break
      if (shared.peerReads && countMissing(shared.sent, shared.mine) > 0)
        pushes.push({ name: shared.name, after: shared.sent })
    }
    const recordsAfter = this.#sendRecordsAfter ?? null
    if (items.length === 0 && pushes.length === 0 && recordsAfter === null) return null
    return { items, recordsAfter, pushes, owed: { receipts, asking }, plannedAtMs: nowMs }
  }

  /** The plan's packet is on its way; `reached` says how far each push went. */
  planned(plan: Plan, reached: readonly { name: DocumentName; vector: VersionVector }[]): void {
    for (const shared of plan.owed.receipts) shared.owesReceipt = false
    if (plan.owed.receipts.length > 0) this.#receiptedAtMs = plan.plannedAtMs
    for (const shared of plan.owed.asking) Object.assign(shared, { asks: false, owesReceipt: false })
    for (const item of plan.items) {
      if (item.type === 'want-records') this.#wantRecords = false
      if (item.type === 'heads') this.#owesHeads = 'no'
    }
    if (plan.recordsAfter !== null && this.#sendRecordsAfter === plan.recordsAfter) {
      this.#sendRecordsAfter = undefined
      this.#peerLogHeads = this.#logHeads
    }
    for (const { name, vector } of reached) {
      const shared = this.#documents.get(keyOf(name))
      if (shared !== undefined) shared.sent = joinTips(shared.sent, vector)
    }
  }

  /** One hash over every document that both may read: tells nothing by its size, and of no document not granted. */
  root(): Uint8Array {
    if (this.#root === undefined) {
      const both = [...this.#documents].filter(([, shared]) => shared.bothRead && shared.mine.length > 0)
      both.sort(([a], [b]) => compareText(a, b))
      const parts: Uint8Array[] = [TAGS.headsRoot]
      for (const [key, shared] of both) parts.push(utf8(key), digestOf(shared.mine, this.#sodium))
      this.#root = this.#sodium.hash(parts)
    }
    return this.#root
  }

  view(): PeerView {
    let toSend = 0
    let toReceive = 0
    let named = this.#rootMatched
    for (const shared of this.#documents.values()) {
      if (shared.peerReads) toSend += countMissing(shared.receipted, shared.mine)
      if (shared.named === undefined) continue
      named = true
      toReceive += countMissing(shared.mine, shared.named)
    }
    return { toSend, toReceive: named ? toReceive : null, lastHeardAtMs: this.#lastHeardAtMs ?? null }
  }

  get lastHeardAtMs(): number | null {
    return this.#lastHeardAtMs ?? null
  }

  /** What the peer last said that it has. */
  words(): DocumentVector[] {
    return [...this.#documents.values()].flatMap(({ name, named }) =>
      named === undefined ? [] : [{ document: name, vector: named }],
    )
  }

  /** Where each document stands that the two of us have in common; for showing, never for deciding what to send. */
  standings(): Standing[] {
    return [...this.#documents.values()].map(({ name, peerReads, bothRead, mine, receipted, named }) => ({
      name,
      peerReads,
      bothRead,
      mine,
      receipted,
      named: named ?? (bothRead && this.#rootMatched ? mine : undefined),
      toSend: peerReads ? countMissing(receipted, mine) : 0,
      toReceive: named === undefined ? 0 : countMissing(mine, named),
    }))
  }

  /**
   * The part of our vector that is the peer's business. Who may not read a document learns of it only what it wrote
   * itself, and of what we only write for somebody, only our own blocks count.
   */
  #concerning(peerReads: boolean, bothRead: boolean, vector: VersionVector): VersionVector {
    if (bothRead) return vector
    const author = peerReads ? this.#ends.me : this.#ends.peer
    return vector.filter((dot) => isIncarnationOf(dot.incarnation, author, this.#sodium))
  }

  #heardVector({ document, vector }: DocumentVector, asks: boolean, nowMs: number, receipts: Receipt[]): void {
    const shared = this.#documents.get(keyOf(document))
    // Not shared as we see the log: no answer, which says nothing about whether the document exists.
    if (shared === undefined) return
    shared.named = vector
    if (shared.peerReads) {
      // Invariant (1). A peer that lost its disk names less than before, and gets it again.
      shared.receipted = vector
      shared.sent = asks ? vector : joinTips(shared.sent, vector)
      receipts.push({ document: shared.name, vector })
    }
    if (asks) shared.owesReceipt = true
    if (countMissing(shared.mine, vector) > 0) this.ask(document, nowMs)
  }

  #heardHeads(fresh: boolean, root: Uint8Array, nowMs: number, receipts: Receipt[]): void {
    const mine = this.root()
    const matches = mine.every((byte, at) => byte === root[at])
    this.#rootMatched = matches
    if (fresh && this.#owesHeads === 'no') this.#owesHeads = 'yes'
    if (matches) {
      for (const shared of this.#documents.values()) {
        if (!shared.bothRead || shared.mine === shared.receipted) continue
        shared.receipted = shared.sent = shared.named = shared.mine
        receipts.push({ document: shared.name, vector: shared.mine })
      }
      return
    }
    // Under load the last blocks are on their way; asking then costs one repetition of them for each heartbeat.
    for (const shared of this.#documents.values()) if (shared.bothRead) this.ask(shared.name, nowMs) // Invariant (3).
  }
}

/** How often a node names its heads to each peer that it can reach. */
export const HEARTBEAT_MS = 10_000
/** A question, about one document or about the log, is not repeated sooner than this. */
const ASK_AGAIN_MS = 1_000
/** The first receipt goes at once; under load one stands for many, and each costs both sides a packet. */
const RECEIPTS_APART_MS = 20
/** Vectors in one packet: some hundred bytes each. Receipts and questions have as many bytes, each. */
const VECTORS_AT_ONCE = 256
const VECTORS_BYTES = 32_768
/** An agent, a layer and a count; an incarnation, a sequence and a hash. */
const VECTOR_BYTES = 112
const ENTRY_BYTES = 56
/** One vector of so many entries, twice, still fits a packet. */
const VECTOR_ENTRIES_SENT = 1_500
/** Documents whose blocks share one packet. */
const PUSHES_MAX = 64

export interface SharedNow {
  readonly name: DocumentName
  /** The peer may read it: we push to it. */
  readonly peerReads: boolean
  /** Both may read it, so both should hold the same. */
  readonly bothRead: boolean
  readonly vector: VersionVector
  /** The peer's last durable word from the store; empty when it has never said anything. */
  readonly receipted: VersionVector
}

interface Shared {
  readonly name: DocumentName
  peerReads: boolean
  bothRead: boolean
  mine: VersionVector
  receipted: VersionVector
  sent: VersionVector
  named: VersionVector | undefined
  owesReceipt: boolean
  asks: boolean
  askedAtMs: number
}

export interface Push {
  readonly name: DocumentName
  readonly after: VersionVector
}

export interface Plan {
  readonly items: readonly SyncItem[]
  /** Send the records that these heads do not cover; null for none. */
  readonly recordsAfter: readonly RecordHash[] | null
  /** Blocks to add, as many as fit. */
  readonly pushes: readonly Push[]
  readonly plannedAtMs: number
  readonly owed: { readonly receipts: readonly Shared[]; readonly asking: readonly Shared[] }
}

/** What the peer says it has durably received: for the store. */
export type Receipt = DocumentVector

export interface PeerView {
  readonly toSend: number
  readonly toReceive: number | null
  readonly lastHeardAtMs: number | null
}

export interface Standing {
  readonly name: DocumentName
  readonly peerReads: boolean
  readonly bothRead: boolean
  /** What of it is durable here and the peer's business. */
  readonly mine: VersionVector
  readonly receipted: VersionVector
  /** What the peer has said that it holds; undefined when it has said nothing in this run. */
  readonly named: VersionVector | undefined
  /** Blocks that the peer has not receipted, and blocks that it named and we lack. */
  readonly toSend: number
  readonly toReceive: number
}

export const keyOf = (name: DocumentName): string => `${name.agent}.${name.layer}`

/** Naming fewer entries than we have claims less than is true, which only makes the peer send something twice. */
const vectorOf = (shared: Shared): DocumentVector => ({
  document: shared.name,
  vector: shared.mine.slice(0, VECTOR_ENTRIES_SENT),
})

const sameHeads = (a: readonly RecordHash[], b: readonly RecordHash[]): boolean =>
  a.length === b.length && a.every((hash, at) => hash === b[at])

/** As many as fit their part of a packet; the rest goes into the next. */
function take(all: Iterable<Shared>, wanted: (shared: Shared) => boolean): Shared[] {
  const taken: Shared[] = []
  let bytes = 0
  for (const shared of all) {
    if (!wanted(shared)) continue
    bytes += VECTOR_BYTES + ENTRY_BYTES * Math.min(shared.mine.length, VECTOR_ENTRIES_SENT)
    if (taken.length > 0 && (bytes > VECTORS_BYTES || taken.length === VECTORS_AT_ONCE)) break
    taken.push(shared)
  }
  return taken
}

import type { DocumentName } from '../crdt/block.ts'
import type { VersionVector } from '../crdt/clock.ts'
import { countMissing, isSameVector, joinTips, sharing, tipsBeyond } from '../crdt/vector.ts'
import type { NodeId, RecordHash } from '../ids.ts'
import type { Sodium } from '../sodium.ts'
import { Authorship } from './authorship.ts'
import { HeadsTree } from './heads-tree.ts'
import { HeadsWatch } from './heads-watch.ts'
import { LongWords } from './long-words.ts'
import type { DocumentVector, SyncItem } from './payload.ts'
import {
  ASK_ALL_MAX,
  DELIVERED_AGAIN_MS,
  HEARTBEAT_MS,
  PRESENT_MS,
  PUSHES_MAX,
  PUSH_AGAIN_MS,
  RECEIPTS_APART_MS,
  SAYING_MAX,
} from './pace.ts'
import type { HeadsView, PeerView, Plan, Push, Reached, Receipt, Shared, SharedNow, Standing } from './peer-plan.ts'
import { isWaitedFor, newShared, NOTHING, standingOf } from './peer-plan.ts'
import { ASK_AGAIN_MS, RecordExchange } from './record-exchange.ts'
import { type Progress, storedWith } from './stored.ts'
import { takeVectors } from './take-vectors.ts'

export type { HeadsView, PeerView, Plan, Push, Reached, Receipt, SharedNow, Standing } from './peer-plan.ts'

/**
 * Where we stand with one peer: what it has receipted, what is on its way, what we owe it. Holds no socket, clock or
 * database: the driver feeds events and asks for the next packet's plan whenever it may send one, so that load makes
 * batches and idleness makes none (docs/spec/08-sync.md).
 *
 * Invariants, cited where they are kept:
 * (1) Only the peer's own word, or its name under a block, lowers what is to be sent: the outbox is every block that `receipted` does not cover.
 * (2) `sent` is a guess that saves traffic. A refusal or a lost link sets it back to what the relay has answered for
 *     (`handed`), a new relay to `receipted`.
 * (3) A difference in heads is answered by an exchange of vectors, never by a guess about who is right.
 * (4) Whatever changes a document goes through `#weigh`, so that counts, queues and heads follow and nothing ever
 *     looks through all documents to find the few that matter.
 * (5) A word under log heads that are not known here confirms nothing: its sender may know of a term that we do not.
 */
export class PeerSync {
  readonly #authors: Authorship
  readonly #documents = new Map<string, Shared>()
  readonly #records = new RecordExchange()
  #saying: SyncItem[] = []
  #owesHeads: 'no' | 'yes' | 'fresh' = 'no'
  #owesBuckets = false
  #mailWaits = false
  /** The peer has come anew, and has not been asked yet what it still has of documents that no heads speak of. */
  #cameAnew = false
  readonly #heads: HeadsTree
  /** Documents with something for the peer that is not on its way, those that go next first. */
  readonly #toPush = new Set<Shared>()
  readonly #owing = new Set<Shared>()
  readonly #asking = new Set<Shared>()
  readonly #longWords = new LongWords()
  #toSend = 0
  #toReceive = 0
  #named = 0
  #rootMatched = false
  readonly #watch = new HeadsWatch()
  /** Invariant (5). Documents of which the peer's last word is such, and the heads that it was said under. */
  readonly #unconfirmed = new Set<Shared>()
  #unknownHeads: readonly RecordHash[] = []
  #lastHeardAtMs: number | undefined
  #heartbeatAtMs = 0
  #receiptedAtMs = Number.NEGATIVE_INFINITY

  constructor(sodium: Sodium, ends: { readonly me: NodeId; readonly peer: NodeId }) {
    this.#authors = new Authorship(sodium, ends)
    this.#heads = new HeadsTree(sodium)
  }

  /** The documents that this peer may read, or writes to, as the membership log has it now: these and no others. */
  setShared(shared: readonly SharedNow[]): void {
    for (const each of shared) this.share(each)
    const keys = new Set(shared.map((each) => keyOf(each.name)))
    this.keepOnly((name) => keys.has(keyOf(name)))
  }

  /** One of them, new or as it is now. */
  share(now: SharedNow): void {
    const { name, peerReads, bothRead, iRead, vector, receipted, handed, brought } = now
    const key = keyOf(name)
    const known = this.#documents.get(key)
    const mine = this.#authors.concerning(now, vector)
    if (known !== undefined) return this.#weigh(known, { peerReads, bothRead, iRead, mine })
    const word = isSameVector(receipted, mine) ? mine : receipted // Two that say the same need not both be kept.
    const sent = brought === true ? mine : joinTips(word, handed ?? NOTHING)
    const shared = newShared(now, { mine, receipted: word, sent })
    this.#documents.set(key, shared)
    this.#weigh(shared, {})
    if (!bothRead && !peerReads) this.#owing.add(shared)
  }

  isShared(name: DocumentName): boolean {
    return this.#documents.has(keyOf(name))
  }

  /** Forgets documents that the two of us no longer have in common. */
  keepOnly(isShared: (name: DocumentName) => boolean): void {
    for (const [key, shared] of this.#documents) {
      if (isShared(shared.name)) continue
      this.#documents.delete(key)
      this.#toSend -= shared.toSend
      this.#toReceive -= shared.toReceive
      if (shared.named !== undefined) this.#named -= 1
      for (const set of [this.#toPush, this.#owing, this.#asking, this.#unconfirmed]) set.delete(shared)
      if (shared.bothRead) this.#heads.set(shared.name, undefined)
    }
  }

  /** Our document grew. What others wrote, their own outboxes bring to the peer: we only fill holes when asked. */
  advanced(name: DocumentName, vector: VersionVector, authoredHere: boolean): void {
    const shared = this.#documents.get(keyOf(name))
    if (shared === undefined) return
    const mine = this.#authors.concerning(shared, vector)
    if (authoredHere) return this.#weigh(shared, { mine })
    const grown = tipsBeyond(shared.mine, mine)
    const theirs = grown.filter((tip) => this.#authors.isBy('peer', tip.incarnation))
    const receipted = theirs.length === 0 ? shared.receipted : joinTips(shared.receipted, theirs)
    this.#weigh(shared, { mine, receipted, sent: joinTips(shared.sent, grown) })
  }

  logChanged(heads: readonly RecordHash[]): void {
    this.#records.changed(heads)
  }

  /** After connecting: what we seem to lack may lie in our mailbox, so nothing is asked for until it has been read. */
  readMail(): void {
    this.#mailWaits = true
  }

  /** When the mailbox has been read, or packets for us were lost: compare heads now. */
  greet(nowMs: number): void {
    this.#mailWaits = false
    this.#owesHeads = 'fresh'
    this.#heartbeatAtMs = nowMs + HEARTBEAT_MS
    this.#askOfUnnamed(nowMs)
  }

  /** Invariant (2). `relay`: it may have forgotten what it had answered for; else only what it never answered is sent again. */
  doubt(whom: 'link' | 'relay'): void {
    for (const shared of this.#documents.values()) {
      if (whom === 'relay') shared.handed = shared.stored = NOTHING
      if (shared.toSend > 0) this.#weigh(shared, { sent: joinTips(shared.receipted, shared.handed) })
    }
    this.#records.doubt()
  }

  /** The relay has answered for this much: it has delivered or stored it, and all that went before it. */
  handedOver(reached: readonly DocumentVector[]): void {
    for (const { document, vector } of reached) {
      const shared = this.#documents.get(keyOf(document))
      if (shared !== undefined) shared.handed = joinTips(shared.handed, vector)
    }
  }

  /** The relay has made this durable for the peer. */
  storedAtRelay(reached: readonly Reached[]): void {
    for (const each of reached) {
      const shared = this.#documents.get(keyOf(each.document))
      if (shared !== undefined) shared.stored = storedWith(shared, each)
    }
  }

  /** What the relay delivered and nobody receipted may lie nowhere: it goes once more. False: not so soon. */
  pushAgain(name: DocumentName, nowMs: number): boolean {
    const shared = this.#documents.get(keyOf(name))
    if (shared === undefined || nowMs - shared.pushedAtMs < DELIVERED_AGAIN_MS) return false
    this.#weigh(shared, { sent: joinTips(shared.receipted, shared.stored) })
    return true
  }

  /** What an acknowledgement may rely on; undefined where the two of us do not share it. */
  progress(name: DocumentName): Progress | undefined {
    return this.#documents.get(keyOf(name))
  }

  /** Of these, what is in the relay's hands and not receipted: for the store, so that a restart sends no second copy. */
  handed(names: Iterable<DocumentName>): DocumentVector[] {
    const handed: DocumentVector[] = []
    for (const name of names) {
      const shared = this.#documents.get(keyOf(name))
      if (shared !== undefined && countMissing(shared.receipted, shared.handed) > 0)
        handed.push({ document: name, vector: shared.handed })
    }
    return handed
  }

  /** Something may have become common, or readable: what the other side makes of it its heads say. */
  compare(): void {
    if (this.#owesHeads === 'no') this.#owesHeads = 'yes'
  }

  /** Time passed; returns when to call again. */
  tick(nowMs: number): number {
    if (nowMs >= this.#heartbeatAtMs) {
      this.#heartbeatAtMs = nowMs + HEARTBEAT_MS
      if (this.#owesHeads === 'no') this.#owesHeads = 'yes'
      // Heads speak of what both read. What one only writes for the other is sent again until it is receipted; to a
      // peer that is away it would fill its mailbox with copies.
      if (nowMs - (this.#lastHeardAtMs ?? Number.NEGATIVE_INFINITY) < PRESENT_MS && this.#toSend > 0) {
        for (const shared of this.#documents.values())
          if (shared.toSend > 0 && !shared.bothRead && nowMs - shared.pushedAtMs >= PUSH_AGAIN_MS)
            this.#weigh(shared, { sent: shared.receipted })
      }
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
    // A peer's log only grows: who knows these heads knows those of its earlier words.
    const receipts = missingRecords ? [] : this.#confirm()
    this.#unknownHeads = missingRecords ? logHeads : []
    const announces = items.some((item) => item.type === 'heads' || item.type === 'want-records')
    this.#records.heard(logHeads, missingRecords, announces, nowMs)
    for (const item of items) {
      switch (item.type) {
        case 'vectors':
          this.#watch.answered ||= item.asks
          for (const each of item.documents) this.#heardVector(each, item.asks, nowMs, receipts)
          break
        case 'heads':
          this.#watch.documents = item.documents
          this.#heardHeads(item.fresh, item.root, nowMs, receipts)
          break
        case 'buckets':
          this.#watch.answered = true
          for (const name of this.#heads.differing(item.buckets)) this.ask(name, nowMs) // Invariant (3).
          break
        case 'want-records':
          this.#records.asked(logHeads)
          break
        default: // The driver's.
          break
      }
    }
    if (!missingRecords) return receipts
    return [] // They count, and are kept, when the records have come.
  }

  /** Our log has grown: what the peer said under heads that were unknown may count now. For the store. */
  confirmed(knows: (heads: readonly RecordHash[]) => boolean): Receipt[] {
    return this.#unconfirmed.size > 0 && knows(this.#unknownHeads) ? this.#confirm() : []
  }

  /** Blocks of this document were durably received from the peer, or somebody else wrote into it. */
  owesReceipt(name: DocumentName): void {
    const shared = this.#documents.get(keyOf(name))
    if (shared !== undefined) this.#owing.add(shared)
  }

  /** Something that the peer sent cannot be used without what came before it. False: not so soon after the last time. */
  ask(name: DocumentName, nowMs: number): boolean {
    const shared = this.#documents.get(keyOf(name))
    if (shared === undefined) return true
    if (this.#mailWaits || nowMs - shared.askedAtMs < ASK_AGAIN_MS) return false
    this.#asking.add(shared)
    shared.askedAtMs = nowMs
    return true
  }

  /** A small thing that its driver has to say, with the next packet. */
  say(item: SyncItem): void {
    if (this.#saying.length < SAYING_MAX) this.#saying.push(item)
  }

  /** What the peer said, or we hold, stands on records that we lack. */
  wantRecords(nowMs: number): void {
    this.#records.want(nowMs)
  }

  /** When receipts that are owed may go; undefined when none are owed. */
  receiptsDueMs(): number | undefined {
    return this.#owing.size === 0 ? undefined : this.#receiptedAtMs + RECEIPTS_APART_MS
  }

  /** What the next packet should carry; null when there is nothing to say. Call `planned` once it is on its way. */
  plan(nowMs: number): Plan | null {
    const items: SyncItem[] = [...this.#saying]
    if (this.#records.wants) items.push({ type: 'want-records' })
    const due = nowMs >= this.#receiptedAtMs + RECEIPTS_APART_MS || nowMs < this.#receiptedAtMs
    const receipts = due ? takeVectors(this.#owing, (shared) => !this.#asking.has(shared)) : []
    const asking = takeVectors(this.#asking, () => true)
    if (receipts.length > 0)
      items.push({
        type: 'vectors',
        asks: false,
        documents: receipts.map((shared) => ({ document: shared.name, vector: this.#authors.said(shared) })),
      })
    if (asking.length > 0)
      items.push({
        type: 'vectors',
        asks: true,
        documents: asking.map((shared) => ({ document: shared.name, vector: this.#authors.asked(shared) })),
      })
    if (this.#owesHeads !== 'no')
      items.push({ type: 'heads', fresh: this.#owesHeads === 'fresh', root: this.root(), documents: this.#heads.size })
    if (this.#owesBuckets) items.push({ type: 'buckets', buckets: this.#heads.digests() })
    const pushes: Push[] = []
    for (const { name, sent } of this.#toPush) {
      if (pushes.length === PUSHES_MAX) break
      pushes.push({ name, after: sent })
    }
    const recordsAfter = this.#records.sendAfter
    if (items.length === 0 && pushes.length === 0 && recordsAfter === null) return null
    const owed = { receipts: receipts.map((shared) => ({ shared, mine: shared.mine })), asking }
    return { items, recordsAfter, pushes, owed, plannedAtMs: nowMs }
  }

  /** The plan's packet is on its way; `reached` says how far each push went. */
  planned(plan: Plan, reached: readonly DocumentVector[]): void {
    // What has come while the packet was made is still owed.
    for (const { shared, mine } of plan.owed.receipts) if (shared.mine === mine) this.#owing.delete(shared)
    if (plan.owed.receipts.length > 0) this.#receiptedAtMs = plan.plannedAtMs
    for (const shared of plan.owed.asking) {
      this.#asking.delete(shared)
      this.#owing.delete(shared)
      if (isWaitedFor(shared)) shared.askedSinceMs ??= plan.plannedAtMs
      this.#watch.asked = true
    }
    this.#saying = this.#saying.filter((item) => !plan.items.includes(item))
    for (const item of plan.items) {
      if (item.type === 'want-records') this.#records.wanted()
      if (item.type === 'heads') this.#owesHeads = 'no'
      if (item.type === 'buckets') this.#owesBuckets = false
      this.#watch.asked ||= item.type === 'heads' || item.type === 'buckets'
    }
    this.#records.sent(plan.recordsAfter)
    for (const { document, vector } of reached) {
      const shared = this.#documents.get(keyOf(document))
      if (shared === undefined) continue
      const sent = joinTips(shared.sent, vector)
      if (isSameVector(sent, shared.sent)) continue
      shared.pushedAtMs = plan.plannedAtMs
      // To the end of the queue: a large document does not keep out the others.
      this.#toPush.delete(shared)
      this.#weigh(shared, { sent })
    }
  }

  /** One hash over every document that both may read: tells nothing by its size, and of no document not granted. */
  root(): Uint8Array {
    return this.#heads.root()
  }

  view(): PeerView {
    const named = this.#rootMatched || this.#named > 0
    return {
      toSend: this.#toSend,
      toReceive: named ? this.#toReceive : null,
      lastHeardAtMs: this.#lastHeardAtMs ?? null,
    }
  }

  get lastHeardAtMs(): number | null {
    return this.#lastHeardAtMs ?? null
  }

  /** Once for every heads that count. `isStuck`: the link takes no question. */
  headsView(isStuck = false): HeadsView {
    return this.#watch.look([...this.#documents.values()], !this.#rootMatched, this.#records.isSame, isStuck)
  }

  /** What the peer last said that it has. */
  words(): DocumentVector[] {
    return [...this.#documents.values()].flatMap(({ name, named }) =>
      named === undefined ? [] : [{ document: name, vector: named }],
    )
  }

  /** What the peer last said that it has of one; undefined when it has said nothing. */
  word(name: DocumentName): VersionVector | undefined {
    return this.#documents.get(keyOf(name))?.named
  }

  /** Where each document stands that the two of us have in common; for showing, never for deciding what to send. */
  standings(): Standing[] {
    return [...this.#documents.values()].map((shared) => standingOf(shared, this.#rootMatched))
  }

  /** Invariant (4). */
  #weigh(shared: Shared, change: Partial<Shared>): void {
    const [wasInHeads, couldRead] = [shared.bothRead, shared.peerReads]
    if (shared.named === undefined && change.named !== undefined) this.#named += 1
    Object.assign(shared, change)
    const { peerReads, bothRead, mine } = shared
    if (peerReads && !bothRead && !shared.lostOwn) {
      const own = this.#authors.ofPeer(mine)
      shared.receipted = joinTips(shared.receipted, own)
      shared.sent = joinTips(shared.sent, own)
    }
    const { receipted, sent } = shared
    const named = (shared.named &&= this.#authors.word(shared, mine, shared.named))
    // No heads name what only we read: its writer would never hear that we have lost some of it.
    if (couldRead && !bothRead && !peerReads) this.#owing.add(shared)
    this.#toSend -= shared.toSend
    this.#toReceive -= shared.toReceive
    shared.toSend = peerReads && receipted !== mine ? countMissing(receipted, mine) : 0
    shared.toReceive = named === undefined || named === mine ? 0 : countMissing(mine, named)
    this.#toSend += shared.toSend
    this.#toReceive += shared.toReceive
    if (!isWaitedFor(shared)) shared.askedSinceMs = undefined
    if (peerReads && sent !== mine && countMissing(sent, mine) > 0) this.#toPush.add(shared)
    else this.#toPush.delete(shared)
    if (bothRead || wasInHeads) this.#heads.set(shared.name, bothRead ? mine : undefined)
  }

  #confirm(): Receipt[] {
    const confirmed = [...this.#unconfirmed]
    this.#unconfirmed.clear()
    for (const shared of confirmed) shared.confirmed = undefined
    return confirmed.map(({ name, receipted }) => ({ document: name, vector: receipted }))
  }

  /** The peer's word of one document, before it takes the place of the one that it gave before. */
  #says(shared: Shared, change: Pick<Shared, 'receipted' | 'sent' | 'named'>, receipts: Receipt[]): void {
    if (this.#unknownHeads.length > 0) {
      shared.confirmed ??= shared.receipted
      this.#unconfirmed.add(shared)
    }
    this.#weigh(shared, change)
    receipts.push({ document: shared.name, vector: change.receipted })
  }

  #heardVector({ document, vector: said }: DocumentVector, asks: boolean, nowMs: number, receipts: Receipt[]): void {
    const shared = this.#documents.get(keyOf(document))
    // Not shared as we see the log: no answer, which says nothing about whether the document exists.
    if (shared?.askedSinceMs !== undefined) {
      shared.askedSinceMs = undefined
      this.#watch.answered = true
    }
    if (shared === undefined || !this.#longWords.mayHear(said.length - shared.mine.length, nowMs)) return
    const vector = sharing(said, shared.mine)
    shared.lostOwn = asks
    if (shared.peerReads) {
      // Invariant (1). A peer that lost its disk names less than before, and gets it again.
      if (asks) shared.handed = shared.stored = NOTHING
      const sent = asks ? vector : joinTips(shared.sent, vector)
      this.#says(shared, { named: vector, receipted: vector, sent }, receipts)
    } else this.#weigh(shared, { named: vector })
    if (asks) this.#owing.add(shared)
    if (shared.toReceive > 0) this.ask(document, nowMs)
  }

  /**
   * Of what not both read no heads speak: a reader that has lost all of it does not know what to say, and a question
   * that was lost on its way nobody asks again.
   */
  #askOfUnnamed(nowMs: number): void {
    const cameAnew = this.#cameAnew
    this.#cameAnew = false
    for (const { name, peerReads, bothRead, receipted, askedAtMs, askedSinceMs } of this.#documents.values()) {
      if (bothRead) continue
      const isNew = cameAnew && peerReads && receipted.length > 0
      const isUnanswered = askedSinceMs !== undefined && nowMs - askedAtMs >= HEARTBEAT_MS
      if ((isNew || isUnanswered) && !this.ask(name, nowMs)) this.#cameAnew ||= isNew
    }
  }

  #heardHeads(fresh: boolean, root: Uint8Array, nowMs: number, receipts: Receipt[]): void {
    const matches = this.root().every((byte, at) => byte === root[at])
    this.#rootMatched = matches
    if (fresh && this.#owesHeads === 'no') this.#owesHeads = 'yes'
    this.#cameAnew ||= fresh
    this.#askOfUnnamed(nowMs)
    if (matches) {
      for (const shared of this.#documents.values()) {
        const { bothRead, mine } = shared
        if (bothRead) shared.askedSinceMs = undefined
        if (!bothRead || (shared.receipted === mine && shared.named === mine)) continue
        // What it has said before need not be written down again.
        const isNews = !isSameVector(shared.receipted, mine)
        this.#says(shared, { receipted: mine, sent: mine, named: mine }, isNews ? receipts : [])
      }
      return
    }
    // Invariant (3). Under load the last blocks are on their way; asking then costs one repetition of them for each
    // heartbeat. Where there are many documents the buckets say first which of them it is about.
    if (this.#heads.size > ASK_ALL_MAX) this.#owesBuckets = true
    else for (const shared of this.#documents.values()) if (shared.bothRead) this.ask(shared.name, nowMs)
  }
}

export const keyOf = (name: DocumentName): string => `${name.agent}.${name.layer}`

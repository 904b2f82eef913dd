import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Floors } from '@sealmesh/protocol/crdt/floor'
import type { Intent } from '@sealmesh/protocol/crdt/writer'
import { Failure } from '@sealmesh/protocol/errors'
import type { ClosedDigest, DocumentId, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import type { Doc } from 'yjs'
import { timed } from '../drills/commit-times.ts'
import { BlockStore } from '../store/block-store.ts'
import type { Examination } from '../store/damage-book.ts'
import { LeftOutStore } from '../store/left-out-store.ts'
import type { Operation } from '../store/store.ts'
import { TipStore } from '../store/tip-store.ts'
import { type AcceptedLoss, acceptLoss } from './accept-loss.ts'
import { Adoption } from './adoption.ts'
import { type Arrivals, takeArrival } from './arrivals.ts'
import { Author } from './author.ts'
import { CatchUp } from './catch-up.ts'
import { flawOf } from './check-intent.ts'
import { claimsOf } from './claims.ts'
import { closeBelowBase, drawnBase, standBelowBase } from './closed-bases.ts'
import type { Delta } from './delta.ts'
import type { DocumentsDeps } from './documents-deps.ts'
import { blocksWith } from './history-blocks.ts'
import { type BaseLimits, drawBase, tidy } from './draw-base.ts'
import { judging } from './judging.ts'
import { isOvergrown } from './overgrown.ts'
import type { Job, ReceiveReport, Written } from './filling.ts'
import { type DocumentFacts, KnownFacts } from './known-facts.ts'
import { isDamage } from './mending.ts'
import { type Commit, OpenDocument, type Surroundings } from './open-document.ts'
import { OneAtATime } from './one-at-a-time.ts'
import { OpenDocuments } from './open-documents.ts'
import { outgoing } from './outgoing.ts'
import { RecentBlocks } from './recent-blocks.ts'
import { readDocument, type StoredDocument } from './stored-document.ts'

export type { Delta } from './delta.ts'
export type { DocumentsDeps } from './documents-deps.ts'
export type { ReceiveReport, Written } from './filling.ts'
export type { Commit } from './open-document.ts'

type Answers<T> = [resolve: (value: T) => void, reject: (reason: unknown) => void]
/** Signatures checked before others get a turn: some 4 ms in WASM. */
const VERIFY_PER_TURN = 64

/** All documents of this node: loaded when they are needed, written durably, judged by the mesh of the moment. */
export class Documents {
  readonly #deps: DocumentsDeps
  readonly #blocks: BlockStore
  readonly #tips: TipStore
  readonly #author: Author
  readonly #around: Surroundings
  readonly #recent = new RecentBlocks()
  readonly #open: OpenDocuments
  readonly #ids = new Map<string, DocumentId>()
  readonly #onCommit = new Set<(commit: Commit) => void>()
  readonly #onRolledBack = new Set<(name: DocumentName, block: Block) => void>()
  readonly #onRestated = new Set<(name: DocumentName) => void>()
  readonly #facts: KnownFacts
  readonly #onSwitched = new Set<(name: DocumentName, gone: number) => void>()
  /** Which documents this node has fallen behind with. */
  readonly catchUp: CatchUp
  /** What bases have taken away from what was read here, until somebody has dealt with it. */
  readonly leftOut: LeftOutStore
  readonly #bases = new OneAtATime()
  readonly #adopting: Promise<Adoption>
  #adoption: Adoption | undefined
  readonly #judge: ReturnType<typeof judging>
  #closed = false

  constructor(deps: DocumentsDeps) {
    this.#deps = deps
    this.#blocks = new BlockStore(deps.store)
    this.#tips = new TipStore(deps.store)
    this.#author = new Author(deps)
    this.#judge = judging(deps.mesh)
    const { store, index, damage, sodium, node, signKey, mesh, now, log } = deps
    const stores = { store, index, blocks: this.#blocks, tips: this.#tips, closed: deps.closed }
    this.catchUp = new CatchUp(deps)
    this.leftOut = new LeftOutStore(deps.store)
    this.#adopting = Adoption.load({
      ...stores,
      sodium,
      node,
      mesh,
      now,
      log,
      damage,
      alone: (name, work) => this.#ask<void>(name, (resolve, reject) => ({ type: 'alone', work, resolve, reject })),
      adopted: (name, id, settled) => {
        // With its base the document may be whole again.
        if (settled && damage.of(id).length > 0) void this.examine(name).catch(() => undefined)
        this.#around.restated(name)
      },
      judge: this.#judge,
      catchUp: this.catchUp,
      leftOut: this.leftOut,
      open: (name) => this.open(name),
      inMemory: (id) => this.#open.get(id)?.inMemory,
      baseRefused: (name, code) => deps.baseRefused?.(name, code),
      switched: (name, id, gone) => {
        void this.#tidy(id).catch(() => undefined) // Else the next drawing does it.
        this.#tell(this.#onSwitched, (listener) => listener(name, gone))
      },
    })
    this.#facts = new KnownFacts(mesh, (name) => this.openWhole(name))
    this.onCommit(({ name }) => this.#facts.forget(name))
    this.onRestated((name) => this.#facts.forget(name))
    this.#adopting.then(
      (adoption) => {
        this.#adoption = adoption
        adoption.staging.resume().catch((error: unknown) => log.warn({ err: error }, 'a staged base waits'))
      },
      () => undefined, // Whoever needs it is told.
    )
    this.#open = new OpenDocuments({
      now,
      idOf: (name) => this.#idOf(name),
      make: (name, id) => new OpenDocument(name, id, this.#around),
      documentsMax: deps.documentsOpenMax,
      bytesMax: deps.openBytesMax,
    })
    this.#around = {
      ...stores,
      damage,
      sodium,
      node,
      signKey,
      mesh,
      now,
      author: this.#author,
      fence: deps.fence,
      catchUp: this.catchUp,
      recent: this.#recent,
      judge: this.#judge,
      committed: (commit) => this.#tell(this.#onCommit, (listener) => listener(commit)),
      loaded: () => this.#open.loaded(),
      restated: (name) => this.#tell(this.#onRestated, (listener) => listener(name)),
      isBelow: (id, { header }) => this.#adoption?.isBelow(id, header) ?? false,
      rolledBack: (name, block) => {
        deps.log.warn({ block: block.hash }, 'a block of this node came back: this home was restored or copied')
        this.#tell(this.#onRolledBack, (listener) => listener(name, block))
      },
    }
  }

  /** Under which own blocks are written now. */
  get incarnation(): IncarnationId {
    return this.#author.incarnation
  }

  /**
   * Durable when it resolves; one result for each intent, in their order. Callers share blocks and fsyncs. Throws
   * NOT_A_WRITER, NOT_THE_HOLDER, FENCED, AGENT_UNKNOWN, VALUE_TOO_LARGE, DISK_FULL, DISK_FAILED or STORE_DAMAGED.
   */
  write(name: DocumentName, intents: readonly Intent[]): Promise<Written[]> {
    const flaw = flawOf(intents)
    if (flaw !== undefined) return Promise.reject(flaw)
    if (intents.length === 0) return Promise.resolve([])
    const written = this.#ask<Written[]>(name, (resolve, reject) => ({ type: 'write', intents, resolve, reject }))
    return timed(written, this.#deps.onWritten)
  }

  /**
   * Calls `edit` with the document's own Y.Doc, in the turn in which the edit is stored. Undefined when it changed
   * nothing. What `edit` throws is thrown here and leaves the text as it was. `beside` goes into the same batch.
   */
  editText(
    name: DocumentName,
    edit: (doc: Doc) => void,
    beside: readonly Operation[] = [],
  ): Promise<Written | undefined> {
    return this.#ask<Written | undefined>(name, (resolve, reject) => ({ type: 'edit', edit, beside, resolve, reject }))
  }

  /** Blocks as they came. Durable when it resolves; one report for each document that they name. */
  async receive(blocks: readonly Uint8Array[]): Promise<ReceiveReport[]> {
    const arrivals = new Map<DocumentId, Arrivals>()
    const adoption = await this.#adopting
    for (const [i, bytes] of blocks.entries()) {
      if (i > 0 && i % VERIFY_PER_TURN === 0) await nextTurn()
      const stale = takeArrival({ ...this.#deps, idOf: (name) => this.#idOf(name) }, bytes, arrivals, adoption)
      if (stale !== undefined)
        void this.#bases.run(stale.id, () => adoption.giveUpIfStale(stale.name, stale.id)).catch(() => undefined)
    }
    await Promise.all(
      [...arrivals].map(async ([id, { blocks, missing, report }]) => {
        if (missing.length > 0) await this.#bases.run(id, () => adoption.staging.fill(report.name, id, missing, report))
        if (blocks.length === 0) return
        await this.#ask<void>(report.name, (resolve, reject) => ({ type: 'receive', blocks, report, resolve, reject }))
      }),
    )
    return [...arrivals.values()].map(({ report }) => report)
  }

  /** What peers keep below their bases, as it came. Durable when it resolves. */
  async receivePruned(items: readonly PrunedItem[], sender: NodeId): Promise<ReceiveReport[]> {
    const reports: ReceiveReport[] = []
    for (const item of items) {
      const id = this.#idOf(item.document)
      const adoption = await this.#adopting
      const report = await this.#bases.run(id, () => adoption.receive(item, id, sender))
      const isUnderWay = adoption.isReceiving(id) || adoption.staging.has(id)
      if (report.stored > 0) await standBelowBase(this.#deps.closed, this.#blocks, id, isUnderWay)
      reports.push(report)
    }
    return reports
  }

  /** Holds only what is durable. Read it before the next `await`; after that ask again. */
  open(name: DocumentName): Promise<Document> {
    return this.#open.use(name).read()
  }

  /** The same, for lists that one damaged document must not keep from being given: undefined for it. */
  async openWhole(name: DocumentName): Promise<Document | undefined> {
    try {
      return await this.open(name)
    } catch (error) {
      if (isDamage(error)) return undefined
      throw error
    }
  }

  /** What sums it up, without loading it if that is known; undefined when it is damaged. */
  async facts(name: DocumentName): Promise<DocumentFacts | undefined> {
    return this.#deps.damage.of(this.#idOf(name)).length > 0 ? undefined : this.#facts.of(name)
  }

  /** Every document that has a block here. */
  names(): DocumentName[] {
    return this.#deps.index.names()
  }

  /** What is durable here of a document, in or out of memory: what a receipt may state. */
  async vectorOf(name: DocumentName): Promise<VersionVector> {
    const id = this.#idOf(name)
    const open = this.#open.get(id)
    const forked = this.#deps.index.get(id)?.forked ?? []
    // Of a damaged one no more is claimed than what lies before the damage: peers then send the rest.
    if (this.#deps.damage.of(id).length > 0) return this.#claimable(id)
    try {
      // While a base is on its way the disk is ahead of memory.
      const isReceiving = (await this.#adopting).isReceiving(id)
      if ((open?.inMemory === undefined && forked.length === 0) || isReceiving) return await this.#blocks.tips(id)
      return (await this.open(name)).vector
    } catch (error) {
      if (!isDamage(error)) throw error
      if (this.#deps.damage.of(id).length === 0) await this.examine(name)
      return this.#claimable(id)
    }
  }

  /** What peers are told of `vector`: where a staged base is about to replace something, what will be left. */
  claimed(name: DocumentName, vector: VersionVector): VersionVector {
    return this.#adoption?.staging.claim(this.#idOf(name), vector) ?? vector
  }

  async claimOf(name: DocumentName): Promise<VersionVector> {
    return (await this.#adopting).staging.claim(this.#idOf(name), await this.vectorOf(name))
  }

  /** What peers are told of every document, in one pass over what is written of their ends. */
  async claims(): Promise<Map<DocumentName, VersionVector>> {
    await this.#adopting
    return claimsOf({ ...this.#deps, tips: this.#tips, documents: this })
  }

  /** Durable blocks that a peer with `vector` lacks; at least one of them if there is any. */
  async after(name: DocumentName, vector: VersionVector, bytesMax: number): Promise<Delta> {
    const id = this.#idOf(name)
    const damaged = this.#deps.damage.of(id).length > 0
    const forked = this.#deps.index.get(id)?.forked ?? []
    try {
      const tips = damaged
        ? (await this.#claimable(id)).filter(({ incarnation }) => !forked.includes(incarnation))
        : (this.#open.get(id)?.inMemory?.vector ?? (await this.#blocks.tips(id)))
      const { sodium, closed } = this.#deps
      const around = { blocks: this.#blocks, recent: this.#recent, sodium, closed }
      return await outgoing({ ...around, document: id, tips, forked }, name, damaged, vector, bytesMax)
    } catch (error) {
      if (!isDamage(error)) throw error
      // Nothing of it goes out now; what is whole does once it is known what is not.
      await this.examine(name)
      return { blocks: [], reached: vector, more: false }
    }
  }

  /** Reads the whole document from disk. If something is missing it is refused from now on, and asked for. */
  async examine(name: DocumentName): Promise<Examination> {
    const id = this.#idOf(name)
    const before = this.#deps.damage.of(id).length
    const examination = await this.#deps.damage.examine(id, this.#deps.index.get(id) !== undefined)
    if (examination.damaged) this.#open.get(id)?.distrust()
    if (examination.damaged || before > 0) this.#around.restated(name)
    return examination
  }

  /** What is missing of a damaged document is given up; what is whole behind it is written again by this node. */
  acceptLoss(name: DocumentName): Promise<AcceptedLoss> {
    const { damage, index, store } = this.#deps
    return acceptLoss(
      { documents: this, damage, index, store, blocks: this.#blocks, tips: this.#tips },
      name,
      this.#idOf(name),
      () => {
        this.#author.renew()
        this.#open.get(this.#idOf(name))?.distrust()
        this.#around.restated(name)
      },
    )
  }

  /** Called when what is durable of a document turned out to be less than was said, and when it is whole again. */
  onRestated(listener: (name: DocumentName) => void): () => void {
    this.#onRestated.add(listener)
    return () => this.#onRestated.delete(listener)
  }

  /** All that is on disk of a document, to look back at. Throws STORE_DAMAGED. */
  async stored(name: DocumentName): Promise<StoredDocument & { readonly floors: Floors }> {
    const id = this.#idOf(name)
    return { ...(await readDocument(this.#blocks, id, this.#deps.sodium)), floors: await this.#deps.closed.of(id) }
  }

  /** Blocks that have `key` in their bytes: all that write that register and are left, and perhaps some others. */
  blocksWith(name: DocumentName, key: string): Promise<Block[]> {
    return blocksWith(this.#blocks, this.#idOf(name), key, this.#deps.sodium)
  }

  /** Before this moment writes that others replaced may be compacted away; null: none are. */
  async historyEndMs(name: DocumentName): Promise<number | null> {
    const tips = (await this.#blocks.bases.read(this.#idOf(name)))?.tips ?? []
    return tips.length === 0 ? null : Math.max(...tips.map(({ time }) => time.wallMs))
  }

  /**
   * The log has changed, or time has passed that held blocks wait for. Resolves when every open document shows the
   * new verdicts; others are judged when they are opened.
   */
  async meshChanged(): Promise<void> {
    const mesh = this.#deps.mesh()
    await this.catchUp.judged(mesh)
    await Promise.all(this.#open.all().map((document) => document.judgeAgain()))
    this.#facts.judged(mesh)
  }

  /**
   * Draws the document's base anew, as far as it is worth it, beside whatever else happens to it. One at a time. What an
   * earlier drawing has left behind goes in any case.
   */
  async drawBase(name: DocumentName, limits: BaseLimits): Promise<boolean> {
    const id = this.#idOf(name)
    const { store, sodium, index, damage, closed, node, signKey, now } = this.#deps
    if (index.get(id) === undefined || damage.of(id).length > 0) return false
    if (!this.catchUp.mayDraw(name, id)) return false // Others know better what is to be kept.
    const rest = { store, blocks: this.#blocks, sodium, id, turn: limits.turn }
    const around = ({ vector }: Document) => ({ vector, own: this.#author.incarnation, nowMs: now() })
    return this.#bases.run(id, async () => {
      await tidy(rest)
      const drawn = await drawBase({
        ...rest,
        ...limits,
        name,
        floors: await closed.of(id),
        judge: this.#judge(),
        maker: { node, signKey },
        nowMs: now(),
        open: () => this.open(name),
        isOver: () => this.#closed || limits.isOver(),
        willName: (tips, document) => closed.willName(id, drawnBase(tips, around(document))),
        drawn: ({ tips }, forgotten) => {
          this.#facts.forget(name)
          this.#open.get(id)?.inMemory?.stand(tips, forgotten)
        },
      })
      if (drawn) await closeBelowBase(closed, this.#blocks, id, around(await this.open(name)))
      return drawn
    })
  }

  /** A link of its closed sets was damaged on disk: peers are asked for it. */
  closedLost(id: DocumentId, digest: ClosedDigest): Promise<void> {
    return this.#deps.closed.lose(id, digest)
  }

  /** `words`: what each reader said last that it has. Whether this node has caught up with them is noted. */
  async reached(name: DocumentName, words: ReadonlyMap<NodeId, VersionVector>): Promise<void> {
    const id = this.#idOf(name)
    if (this.#deps.damage.of(id).length > 0 || (await this.#adopting).isComing(id)) return
    const mark = this.catchUp.reach(name, id, await this.vectorOf(name), words)
    if (mark === undefined) return
    const { above, base } = await this.stored(name)
    const blocks = this.catchUp.saidBehind(name, id, [...base.blocks, ...above])
    await this.#ask<void>(name, (resolve, reject) => ({ type: 'again', blocks, mark, resolve, reject }))
  }

  /** Now and then. `isHeard`: whether somebody is there who has more of a document than this node. */
  async giveUpSilent(isHeard: (name: DocumentName) => boolean): Promise<void> {
    const adoption = await this.#adopting
    for (const id of adoption.silent(isHeard)) {
      const name = this.#deps.index.get(id)?.name
      if (name !== undefined) await this.#bases.run(id, () => adoption.giveUpIfStale(name, id))
    }
  }

  #tidy(id: DocumentId): Promise<void> {
    const { store, sodium } = this.#deps
    return this.#bases.run(id, () => tidy({ store, blocks: this.#blocks, sodium, id, turn: () => nextTurn() }))
  }

  /** Nothing of it is damaged, on its way, or known to be missing: what this node does not have, nobody told it of. */
  async isWhole(name: DocumentName): Promise<boolean> {
    await this.#adopting
    return !this.isComing(name) && !this.catchUp.isBehind(name, this.#idOf(name))
  }

  /** It is damaged, or being taken over as a whole. */
  isComing(name: DocumentName): boolean {
    return this.#deps.damage.of(this.#idOf(name)).length > 0 || this.#adoption?.isComing(this.#idOf(name)) === true
  }

  /** Whether so much lies on disk of it that a base may be worth drawing, or a drawing left something behind. */
  async isOvergrown(name: DocumentName, floorBytes: number): Promise<boolean> {
    return isOvergrown(this.#deps.store, this.#blocks, this.#idOf(name), floorBytes)
  }

  /** Called when blocks are durable or verdicts have changed, before the writers' promises resolve. */
  onCommit(listener: (commit: Commit) => void): () => void {
    this.#onCommit.add(listener)
    return () => this.#onCommit.delete(listener)
  }

  /** A block that this node had signed came back from a peer, unknown: this home was restored from a copy, or is one. */
  onRolledBack(listener: (name: DocumentName, block: Block) => void): () => void {
    this.#onRolledBack.add(listener)
    return () => this.#onRolledBack.delete(listener)
  }

  /** Called when a base has taken the place of what was here, with how many registers ended with it. */
  onSwitched(listener: (name: DocumentName, gone: number) => void): () => void {
    this.#onSwitched.add(listener)
    return () => this.#onSwitched.delete(listener)
  }

  /** Documents that are not in use take no memory. Call it now and then. */
  rest(): void {
    this.#open.rest()
  }

  /** Refuses new work and finishes what was asked for. The store stays open. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#open.all().map((document) => document.settle()))
  }

  async #claimable(id: DocumentId): Promise<VersionVector> {
    try {
      return await (await this.#adopting).claimable(id)
    } catch (error) {
      if (!isDamage(error)) throw error
      return [] // Claiming less than is true only makes a peer send something twice.
    }
  }

  #ask<T>(name: DocumentName, job: (...asked: Answers<T>) => Job): Promise<T> {
    if (this.#closed) return Promise.reject(new Failure('CORE_BUSY', 'The node is stopping.'))
    return new Promise<T>((resolve, reject) => this.#open.use(name).enqueue(job(resolve, reject)))
  }

  #idOf(name: DocumentName): DocumentId {
    const key = `${name.agent}.${name.layer}`
    const known = this.#ids.get(key)
    if (known !== undefined) return known
    const id = documentIdOf(name, this.#deps.sodium)
    // A peer may name documents as it likes: only those that are here stay.
    if (this.#deps.index.get(id) !== undefined) this.#ids.set(key, id)
    return id
  }

  #tell<Listener>(listeners: Iterable<Listener>, say: (listener: Listener) => void): void {
    for (const listener of listeners) {
      try {
        say(listener)
      } catch (error) {
        // What is durable is answered as durable, whatever a listener makes of it.
        this.#deps.log.error({ err: error }, 'a listener to documents failed')
      }
    }
  }
}

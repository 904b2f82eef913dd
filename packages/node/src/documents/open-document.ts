import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Dot } from '@sealmesh/protocol/crdt/clock'
import { type Change, Document } from '@sealmesh/protocol/crdt/document'
import type { Floors } from '@sealmesh/protocol/crdt/floor'
import { compareTimes, type HybridTime } from '@sealmesh/protocol/crdt/hybrid-time'
import { wordsOf } from '@sealmesh/protocol/crdt/text-run'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import { Failure } from '@sealmesh/protocol/errors'
import type { DocumentId, NodeId } from '@sealmesh/protocol/ids'
import type { Secret } from '@sealmesh/protocol/keys'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { assert } from '@sealmesh/protocol/result'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { BlockStore } from '../store/block-store.ts'
import type { DamageBook } from '../store/damage-book.ts'
import type { DocumentIndex, IndexEntry } from '../store/document-index.ts'
import type { Operation, Store } from '../store/store.ts'
import type { TipStore } from '../store/tip-store.ts'
import type { Author } from './author.ts'
import { inTurns } from './in-turns.ts'
import type { CatchUp } from './catch-up.ts'
import type { ClosedSets } from './closed-sets.ts'
import type { DocumentsDeps } from './documents-deps.ts'
import { differenceBetween, seenOf } from './difference.ts'
import { Filling, type Job } from './filling.ts'
import { Gathering } from './gathering.ts'
import { damagedFailure, isDamage, mend, nothingLeft } from './mending.ts'
import type { RecentBlocks } from './recent-blocks.ts'
import { readDocument } from './stored-document.ts'

/** What an open document uses of its node. */
export interface Surroundings {
  readonly store: Store
  readonly blocks: BlockStore
  readonly index: DocumentIndex
  readonly tips: TipStore
  readonly recent: RecentBlocks
  readonly sodium: Sodium
  readonly node: NodeId
  readonly signKey: Secret<'sign'>
  readonly author: Author
  readonly catchUp: CatchUp
  readonly mesh: () => Mesh
  readonly fence: DocumentsDeps['fence']
  readonly judge: () => Judge
  readonly now: () => number
  /** Durable and readable; in the same turn as the callers of its writes are answered. */
  readonly committed: (commit: Commit) => void
  /** A block that this node signed and had lost, or that a copy of it signed. */
  readonly rolledBack: (name: DocumentName, block: Block) => void
  /** Whether the block lies below a base that is on its way. */
  readonly isBelow: (id: DocumentId, block: Block) => boolean
  readonly damage: DamageBook
  readonly closed: ClosedSets
  /** One more document is in memory. */
  readonly loaded: () => void
  /** What is durable of it is less than was said, or the same again. */
  readonly restated: (name: DocumentName) => void
}

export interface Commit {
  readonly name: DocumentName
  /** To be read at once: after an `await` ask for it again. */
  readonly document: Document
  readonly blocks: readonly Block[]
  readonly changes: readonly Change[]
  /** Whether this node wrote it. */
  readonly local: boolean
}

/**
 * One document in memory, and the queue of what is to happen to it.
 *
 * When is a write visible? Its block is folded when its batch is put together, because the next block of the same
 * turn builds on it. Readers are let in only when no folded block waits for its fsync: a write is acknowledged,
 * shown and sent only when it is durable, and what was shown is never lost. So a reader waits for one fsync at most.
 *
 * 1. Folded but not durable implies `#pending` is set, and then `read` waits.
 * 2. After a failed batch, and after anything that cannot be folded one by one, the document in memory is thrown away
 *    and read back from disk before anybody sees it.
 * 3. At most one batch per document is in flight, so blocks of one incarnation reach the disk in chain order.
 */
export class OpenDocument {
  readonly name: DocumentName
  readonly id: DocumentId
  /** When somebody asked for it last. */
  usedAtMs = 0
  readonly #around: Surroundings
  readonly #jobs: Job[] = []
  readonly #gathering = new Gathering()
  #document: Document | undefined
  #loading: Promise<Loaded> | undefined
  #running: Promise<void> | undefined
  #pending: Promise<void> | undefined
  /** What is on disk may be less than what is in memory. */
  #distrusted = false
  /** The mesh changed since blocks were judged. */
  #judgeAgain = false
  /** Who asked for that. They are answered between two batches: a document that is written to is never idle. */
  #askedToJudge: (() => void)[] = []

  constructor(name: DocumentName, id: DocumentId, around: Surroundings) {
    this.name = name
    this.id = id
    this.#around = around
  }

  get idle(): boolean {
    return this.#running === undefined && this.#loading === undefined && this.#jobs.length === 0
  }

  /** The document if it is in memory, be it ahead of the disk. */
  get inMemory(): Document | undefined {
    return this.#document
  }

  async read(): Promise<Document> {
    for (;;) {
      if (this.#pending !== undefined) await this.#pending
      else if (this.#document !== undefined) return this.#document
      else await this.#load()
    }
  }

  enqueue(job: Job): void {
    this.#jobs.push(job)
    this.#run()
  }

  /** Resolves when everything that was asked for is done. */
  async settle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  /** Its bytes on disk are not what is in memory any more: it is read back before anybody sees it. */
  distrust(): void {
    this.#distrusted = true
    this.#run()
  }

  /** Resolves when the present mesh has judged. A document that is not in memory is judged when it is loaded. */
  async judgeAgain(): Promise<void> {
    if (this.#document === undefined && this.#loading === undefined) return
    const judged = new Promise<void>((resolve) => this.#askedToJudge.push(resolve))
    this.#judgeAgain = true
    this.#run()
    await judged
  }

  #run(): void {
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined
      if (this.#hasWork) this.#run()
    })
  }

  /** Never rejects: failures go to the jobs that they concern. */
  async #work(): Promise<void> {
    while (this.#hasWork) {
      await this.#gathering.gather(this.#jobs)
      const first = this.#jobs[0]
      if (first?.type === 'alone') {
        this.#jobs.shift()
        await this.#alone(first)
        continue
      }
      try {
        if (this.#distrusted) this.#document = undefined
        this.#distrusted = false
        if (this.#document === undefined) await this.#load()
        if (this.#judgeAgain) await this.#rejudge()
      } catch (error) {
        this.#judgeAgain = false // What cannot be loaded now is judged when it can.
        for (const answer of this.#askedToJudge.splice(0)) answer()
        // What runs alone may be what makes it whole again.
        const alone = this.#jobs.findIndex(({ type }) => type === 'alone')
        for (const job of this.#jobs.splice(0, alone < 0 ? this.#jobs.length : alone)) {
          if (job.type === 'receive' && isDamage(error) && this.#around.damage.of(this.id).length > 0)
            await mend(job, this.id, this.#around, this)
          else job.reject(error)
        }
        return
      }
      if (this.#jobs.length > 0) await this.#fly()
    }
  }

  /** Readers wait for it, so none sees the disk between two states. */
  async #alone({ work, resolve, reject }: Extract<Job, { type: 'alone' }>): Promise<void> {
    let landed = () => {}
    this.#pending = new Promise((done) => {
      landed = done
    })
    try {
      await this.#loading?.catch(() => undefined)
      const outcome = await work()
      const before = this.#document
      if (outcome !== 'nothing') this.#document = undefined
      // Durable all the same: if it cannot be read back now, the next reader tries again.
      if (before !== undefined && outcome === 'whole')
        this.#tell([], await this.#rebuild(before).catch(() => []), false)
      resolve()
    } catch (error) {
      this.#document = undefined
      reject(error)
    } finally {
      this.#pending = undefined
      landed()
    }
  }

  async #fly(): Promise<void> {
    let filling: Filling | undefined
    let landed = () => {}
    try {
      // Filled when the batch is put together: all that comes until then joins.
      await this.#around.store.commit(() => {
        const document = this.#document
        assert(document !== undefined, 'a document stays in memory while its work runs')
        this.#pending = new Promise((resolve) => {
          landed = resolve
        })
        filling = new Filling(this.id, document, this.#around)
        return this.#withIndex(filling, filling.take(this.#jobs))
      })
      if (filling !== undefined) await this.#land(filling)
    } catch (error) {
      if (filling === undefined) for (const job of this.#jobs.splice(0)) job.reject(error)
      else {
        this.#document = undefined // Invariant (2).
        filling.fail(error)
      }
    } finally {
      this.#pending = undefined
      landed()
    }
  }

  async #land(filling: Filling): Promise<void> {
    const { local, remote, entry } = filling
    for (const block of local.blocks) this.#around.recent.add(this.id, block)
    for (const block of remote.blocks) this.#around.recent.add(this.id, block)
    if (entry !== undefined) this.#around.index.remember(this.id, entry)
    for (const mark of filling.marks) mark.landed()
    this.#gathering.note(filling)
    if (filling.rebuild) {
      // Durable all the same: if it cannot be read back now, callers are answered and the next reader tries again.
      const changes = await this.#rebuild(filling.document).catch(() => [])
      this.#tell(local.blocks, local.changes, true)
      this.#tell(remote.blocks, changes, false)
    } else {
      this.#tell(local.blocks, local.changes, true)
      this.#tell(remote.blocks, remote.changes, false)
    }
    filling.settle()
  }

  #tell(blocks: readonly Block[], changes: readonly Change[], local: boolean): void {
    const document = this.#document
    if (document === undefined || (blocks.length === 0 && changes.length === 0)) return
    this.#around.committed({ name: this.name, document, blocks, changes, local })
  }

  /**
   * What is now last of each incarnation goes with the blocks; the document's own entry with its first block, and
   * again when one of its incarnations has forked.
   */
  #withIndex(filling: Filling, operations: readonly Operation[]): readonly Operation[] {
    if (operations.length === 0) return operations
    const { index, tips, catchUp } = this.#around
    const ends = tips.put(this.id, filling.document.vector, filling.grown)
    const known = index.get(this.id)
    const forks = filling.document.forks()
    const forked = forks.length === 0 ? NONE : [...new Set(forks.map((fork) => fork.incarnation))]
    if (known !== undefined && known.forked.length === forked.length) return [...operations, ...ends]
    const entry: IndexEntry = { name: this.name, forked }
    filling.entry = entry
    // Others began it: how much of it there is they know.
    const byOthers = filling.local.blocks.length === 0
    const mark = known === undefined ? catchUp.begin(this.name, this.id, byOthers) : undefined
    if (mark !== undefined) filling.marks.push(mark)
    return [...operations, ...ends, ...index.put(this.id, entry), ...(mark?.operations ?? [])]
  }

  get #hasWork(): boolean {
    return this.#jobs.length > 0 || this.#judgeAgain || this.#distrusted
  }

  async #rejudge(): Promise<void> {
    this.#judgeAgain = false
    // Who asks from here on may have a later mesh in mind, and is answered by the next round.
    const asked = this.#askedToJudge.splice(0)
    try {
      const document = this.#document
      if (document === undefined || !document.needsRebuild(this.#around.judge(), this.#around.now())) return
      this.#tell([], await this.#rebuild(document), false)
    } finally {
      for (const answer of asked) answer()
    }
  }

  /** Reads the document back from disk; what readers will see change. */
  async #rebuild(before: Document): Promise<Change[]> {
    const seen = seenOf(before)
    this.#document = undefined
    const { document, lastText } = await this.#load()
    return differenceBetween(seen, seenOf(document), document, lastText)
  }

  /** Shared by all who wait for it. */
  async #load(): Promise<Loaded> {
    this.#loading ??= this.#replay().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  /** What is damaged is looked at once, and put right where that needs nobody. */
  async #replay(): Promise<Loaded> {
    const { damage, index, restated } = this.#around
    if (damage.of(this.id).length === 0) {
      try {
        return await this.#replayWhole()
      } catch (error) {
        if (!isDamage(error)) throw error
        const { damaged } = await damage.examine(this.id, index.get(this.id) !== undefined)
        if (!damaged) return await this.#replayWhole()
        restated(this.name)
      }
    }
    throw damagedFailure(this.id, damage)
  }

  async #replayWhole(): Promise<Loaded> {
    const { blocks, author, sodium, judge, now, index, closed } = this.#around
    const floors = await closed.of(this.id)
    const { base, above } = await readDocument(blocks, this.id, sodium)
    const all = [...base.blocks, ...base.runs.map(wordsOf), ...above]
    if (all.length === 0 && index.get(this.id) !== undefined) throw nothingLeft(this.id)
    // The word of the set that it stands on was damaged, or the set has come since the last base was drawn.
    if (floors.current === null)
      await closed.standOnBest(
        this.id,
        base.tips.map(({ dot }) => dot),
      )
    this.#checkFloors(above, floors)
    await this.#checkEnds([...base.tips.map(({ dot }) => dot), ...above.map(dotOf)])
    // The mesh that judges is the one of this moment: should it change before the end, all is judged again.
    const document = await inTurns(Document.rebuilding(this.name, above, judge(), now(), sodium, base, floors))
    if (document.isDamaged)
      throw new Failure('STORE_DAMAGED', `What is left of the texts of document ${this.id} does not fit together.`)
    let lastText: Loaded['lastText']
    for (const { header, writes } of all) {
      author.clock.observe(header.time, now())
      if (writes[0]?.type !== 'text' || (lastText && compareTimes(header.time, lastText.time) < 0)) continue
      lastText = { author: header.author, time: header.time }
    }
    // On top of what is set aside everything would be set aside.
    if (document.aside().some(({ block }) => block.header.incarnation === author.incarnation)) author.renew()
    this.#document = document
    this.#around.closed.missNothing(this.id)
    this.#around.loaded()
    return { document, lastText }
  }

  /** Without the set that a block stands on nobody can tell what its author had received. */
  #checkFloors(above: readonly Block[], floors: Floors): void {
    for (const { header } of above) {
      if (header.floor === null || floors.parts(header.floor.digest) !== undefined) continue
      this.#around.closed.miss(this.id, header.floor.digest)
      throw new Failure('STORE_DAMAGED', `A closed set of document ${this.id} is missing; it has been asked for.`)
    }
  }

  /** A hole shows by itself, a lost end only against what was noted. */
  async #checkEnds(dots: readonly Omit<Dot, 'hash'>[]): Promise<void> {
    const noted = await this.#around.damage.noted(this.id)
    if (noted.length === 0) return
    const last = new Map<string, number>()
    for (const { incarnation, sequence } of dots) last.set(incarnation, Math.max(sequence, last.get(incarnation) ?? 0))
    if (noted.some((dot) => dot.sequence > (last.get(dot.incarnation) ?? 0))) throw nothingLeft(this.id)
  }
}

const NONE: IndexEntry['forked'] = []

const dotOf = ({ header }: Block): Omit<Dot, 'hash'> => header

interface Loaded {
  readonly document: Document
  readonly lastText: { readonly author: NodeId; readonly time: HybridTime } | undefined
}

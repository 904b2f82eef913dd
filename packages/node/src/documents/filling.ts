import { type Block, type DocumentName, dotOf, type TermRef } from '@sealmesh/protocol/crdt/block'
import type { Dot } from '@sealmesh/protocol/crdt/clock'
import type { Change, Document } from '@sealmesh/protocol/crdt/document'
import type { HybridTime } from '@sealmesh/protocol/crdt/hybrid-time'
import { overFloor } from '@sealmesh/protocol/crdt/floor'
import { editText } from '@sealmesh/protocol/crdt/text-edit'
import { draftBlock, type Intent, RECEIVED_ENTRIES_MAX } from '@sealmesh/protocol/crdt/writer'
import { Failure } from '@sealmesh/protocol/errors'
import type { BlockHash, ClosedDigest, DocumentId, IncarnationId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { BLOCK_BYTES_MAX, TEXT_UPDATE_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { Result } from '@sealmesh/protocol/result'
import type { Doc } from 'yjs'
import type { IndexEntry } from '../store/document-index.ts'
import type { Operation } from '../store/store.ts'
import type { Mark } from './catch-up.ts'
import type { Surroundings } from './open-document.ts'
import { packIntents, WRITE_BYTES_EXTRA } from './pack.ts'
import { permissionToWrite } from './permission.ts'
import { wordsToSayAgain } from './say-again.ts'

/** What one document puts into one batch; the rest of its queue takes the next, so that no caller waits for all. */
const FILLING_BYTES_MAX = 1_048_576
/** Begins the name of a register that no one has written. */
const NOTHING_KEY = '~received-'

/** Names a write: its block and when it happened. */
export interface Written {
  readonly block: BlockHash
  /** Where the block stands: what receipts cover. */
  readonly dot: Dot
  readonly time: HybridTime
}

export interface ReceiveReport {
  readonly name: DocumentName
  /** Now durable here: folded, late, void, held, or waiting for log heads. */
  stored: number
  /** Not what they claim to be. */
  refused: number
  /** Something that they follow, or their author's admission, has not arrived. */
  waiting: number
  /** Log heads that blocks name and we have not got. */
  unknownHeads: RecordHash[]
  /** Closed sets that blocks or ends stand on and we have not got, and who answers for each. */
  unknownFloors?: { readonly digest: ClosedDigest; readonly by: NodeId | null }[]
}

export type Job =
  | ({ readonly type: 'write'; readonly intents: readonly Intent[] } & Asked<Written[]>)
  | ({
      readonly type: 'edit'
      readonly edit: (doc: Doc) => void
      /** Goes along, also when nothing was to be changed. */
      readonly beside: readonly Operation[]
    } & Asked<Written | undefined>)
  | ({ readonly type: 'receive'; readonly blocks: readonly Block[]; readonly report: ReceiveReport } & Asked<void>)
  /** Has caught up: what it said meanwhile is said again, in the commit that notes it. */
  | ({ readonly type: 'again'; readonly blocks: readonly Block[]; readonly mark: Mark } & Asked<void>)
  /** Alone with what is durable of the document: no batch is in flight, and what is in memory is dropped after it. */
  | ({ readonly type: 'alone'; readonly work: () => Promise<Adopted> } & Asked<void>)

/** What has happened on the disk, and whether who watches is told: of a base that is on its way not of every step. */
export type Adopted = 'nothing' | 'step' | 'whole'

interface Asked<T> {
  readonly resolve: (value: T) => void
  readonly reject: (reason: unknown) => void
}

type WriteJob = Extract<Job, { type: 'write' }>
type EditJob = Extract<Job, { type: 'edit' }>
type ReceiveJob = Extract<Job, { type: 'receive' }>
type AgainJob = Extract<Job, { type: 'again' }>

/** The part of a document's queue that goes into one batch: what is written for it, and how its callers are answered. */
export class Filling {
  readonly document: Document
  readonly local: { blocks: Block[]; changes: Change[] } = { blocks: [], changes: [] }
  readonly remote: { blocks: Block[]; changes: Change[] } = { blocks: [], changes: [] }
  /** The document in memory is not what its blocks say: read it back once they are durable. */
  rebuild = false
  /** The index entry that goes along, if any. */
  entry: IndexEntry | undefined
  /** Notes that go along. */
  readonly marks: Mark[] = []
  readonly #id: DocumentId
  readonly #around: Surroundings
  readonly #operations: Operation[] = []
  /** Every job that was taken, before anything of it is done: what throws then still answers it. Answered once. */
  readonly #aboard: { readonly reject: (reason: unknown) => void; readonly settle: () => void }[] = []
  #bytes = 0
  #writers = 0

  constructor(id: DocumentId, document: Document, around: Surroundings) {
    this.#id = id
    this.document = document
    this.#around = around
  }

  /** Takes jobs off the queue, first come first served, and folds what they bring. */
  take(queue: Job[]): readonly Operation[] {
    // Nothing is drafted on a document that waits to be rebuilt.
    while (!this.rebuild && this.#bytes < FILLING_BYTES_MAX) {
      const job = queue[0]
      if (job === undefined || job.type === 'alone') break
      queue.shift()
      switch (job.type) {
        case 'write': {
          // Writers who ask one after another share blocks.
          const together = [job]
          let bytes = this.#bytes + bytesOf(job)
          for (let next = queue[0]; next?.type === 'write' && bytes < FILLING_BYTES_MAX; next = queue[0]) {
            bytes += bytesOf(next)
            together.push(next)
            queue.shift()
          }
          this.#write(together)
          break
        }
        case 'edit':
          this.#edit(job)
          break
        case 'receive':
          this.#receive(job)
          break
        case 'again':
          this.#sayAgain(job)
          break
      }
    }
    return this.#operations
  }

  /** Callers whose writes are in it. */
  get writers(): number {
    return this.#writers
  }

  /** Of its blocks. */
  get bytes(): number {
    return this.#bytes
  }

  /** Incarnations that have got blocks. */
  get grown(): ReadonlySet<IncarnationId> {
    return new Set([...this.local.blocks, ...this.remote.blocks].map(({ header }) => header.incarnation))
  }

  /** The batch is durable. */
  settle(): void {
    for (const { settle } of this.#aboard) settle()
  }

  fail(reason: unknown): void {
    for (const { reject } of this.#aboard) reject(reason)
  }

  #write(jobs: readonly WriteJob[]): void {
    this.#writers += jobs.length
    const items: Item[] = []
    for (const job of jobs) {
      const written: Written[] = []
      this.#aboard.push({ reject: job.reject, settle: () => job.resolve(written) })
      for (const intent of job.intents) items.push({ intent, written })
    }
    const permission = this.#permission()
    if (!permission.ok) {
      for (const job of jobs) job.reject(permission.error)
      return
    }
    this.#sayReceived(permission.value)
    for (const block of packIntents(items)) this.#sign(block, permission.value)
  }

  #edit(job: EditJob): void {
    const written: Written[] = []
    this.#aboard.push({ reject: job.reject, settle: () => job.resolve(written[0]) })
    const permission = this.#permission()
    if (!permission.ok) return job.reject(permission.error)
    try {
      this.#sayReceived(permission.value)
      const update = editText(this.document, this.#around.author.incarnation, job.edit)
      if (update === undefined) return void this.#operations.push(...job.beside)
      if (update.length > TEXT_UPDATE_BYTES_MAX) {
        throw new Failure(
          'VALUE_TOO_LARGE',
          `One edit of a text may have ${TEXT_UPDATE_BYTES_MAX} bytes; this one is larger.`,
          {
            next: 'write it in several smaller edits',
          },
        )
      }
      this.#sign([{ intent: { type: 'text', update }, written }], permission.value)
      this.#operations.push(...job.beside)
    } catch (error) {
      // The edit is in the text in memory and will never be on disk. What came before it stands.
      this.rebuild = true
      job.reject(error)
    }
  }

  #sign(items: readonly Item[], term: TermRef | null): void {
    const { author, node, signKey, sodium } = this.#around
    const mesh = this.#around.mesh()
    const nowMs = this.#around.now()
    const block = draftBlock(
      this.document,
      { mesh: mesh.id, node, incarnation: author.incarnation, signKey },
      items.map((item) => item.intent),
      { clock: author.clock, nowMs, logHeads: mesh.heads, term },
      sodium,
    )
    if (block.bytes.length > BLOCK_BYTES_MAX) {
      // Only clocks of very many incarnations get here: values were measured before.
      if (items.length === 1)
        throw new Failure('VALUE_TOO_LARGE', 'The write and what it replaces do not fit one block.')
      const half = items.length >> 1
      this.#sign(items.slice(0, half), term)
      this.#sign(items.slice(half), term)
      return
    }
    const outcome = this.document.receive(block, this.#around.judge(), nowMs)
    if (outcome.type !== 'folded') {
      // Permission was asked first, so this is a clock that was set back by minutes: our own earlier blocks are held.
      author.renew()
      throw new Failure('CORE_BUSY', 'The clock of this machine was set back: the write was not accepted.')
    }
    this.rebuild ||= outcome.rebuild
    this.#store(block)
    this.local.blocks.push(block)
    this.local.changes.push(...outcome.changes)
    const place: Written = { block: block.hash, dot: dotOf(block), time: block.header.time }
    for (const { written } of items) written.push(place)
  }

  #sayAgain({ blocks, mark, resolve, reject }: AgainJob): void {
    this.#aboard.push({ reject, settle: resolve })
    const intents = wordsToSayAgain(blocks, this.document)
    const permission = this.#permission()
    // Who may not write any more has nothing to say again: what it wrote counts as little.
    if (permission.ok && intents.length > 0) {
      const items = intents.map((intent): Item => ({ intent, written: [] }))
      this.#sayReceived(permission.value)
      for (const block of packIntents(items)) this.#sign(block, permission.value)
    }
    this.#operations.push(...mark.operations)
    this.marks.push(mark)
  }

  #receive(job: ReceiveJob): void {
    this.#aboard.push({ reject: job.reject, settle: () => job.resolve() })
    try {
      this.#fold(job)
    } catch (error) {
      // How far the fold in memory got nobody knows. What came before it stands, and its writers are not to blame.
      this.rebuild = true
      job.reject(error)
    }
  }

  #fold({ blocks, report }: ReceiveJob): void {
    const { author, node, rolledBack, isBelow } = this.#around
    const mesh = this.#around.mesh()
    const nowMs = this.#around.now()
    const unknownHeads = new Set(report.unknownHeads)
    for (const block of blocks) {
      // The base that it has to wait for began while it stood in the queue.
      if (isBelow(this.#id, block)) {
        report.waiting += 1
        continue
      }
      if (this.document.isFarFrom(block)) {
        report.waiting += 1
        continue
      }
      const outcome = this.document.receive(block, this.#around.judge(), nowMs)
      if (outcome.type === 'refused') report.refused += 1
      if (outcome.type === 'waiting') report.waiting += 1
      report.stored += outcome.arrived.length
      this.rebuild ||= outcome.rebuild
      this.remote.changes.push(...outcome.changes)
      for (const arrived of outcome.arrived) {
        this.#store(arrived)
        this.remote.blocks.push(arrived)
        author.clock.observe(arrived.header.time, nowMs)
        for (const head of arrived.header.logHeads) if (!mesh.records.has(head)) unknownHeads.add(head)
      }
      // Signed by this node and not here: this store was copied or rolled back (DESIGN.md §7, Incarnations).
      if (block.header.author === node && (outcome.arrived.length > 0 || outcome.type === 'waiting')) {
        if (block.header.incarnation === author.incarnation) author.renew()
        rolledBack(block.header.document, block)
      }
    }
    report.unknownHeads = [...unknownHeads]
  }

  #store(block: Block): void {
    this.#operations.push(this.#around.blocks.put(this.#id, block))
    this.#bytes += block.bytes.length
  }

  /**
   * Says what this node has received, when that is more than fits beside a write. Only a first block can name it by a
   * closed set; what no set names is said by blocks before the write, each of which deletes what nobody has written.
   */
  #sayReceived(term: TermRef | null): void {
    const { author } = this.#around
    const { floors, vector } = this.document
    const next = () => this.document.nextOf(author.incarnation)
    const { sequence, received } = next()
    if (received.length <= RECEIVED_ENTRIES_MAX) return
    if (sequence > 1 && overFloor(vector, floors).rest.length < received.length) author.renew()
    // Each says some of it: there are no more of these blocks than entries.
    for (const _ of received) {
      const unsaid = next()
      const written = unsaid.sequence > 1 ? unsaid.received : overFloor(unsaid.received, floors).rest
      if (written.length <= RECEIVED_ENTRIES_MAX) return
      this.#sign([{ intent: { type: 'delete', key: NOTHING_KEY + author.incarnation }, written: [] }], term)
    }
  }

  #permission(): Result<TermRef | null, Failure> {
    const { mesh, node, fence } = this.#around
    return permissionToWrite(mesh(), node, this.document.name, fence)
  }
}

interface Item {
  readonly intent: Intent
  /** Where the caller's results gather, in the order of its intents. */
  readonly written: Written[]
}

/** About, by characters: where a filling ends nobody can tell by a byte. */
export function bytesOf({ intents }: WriteJob): number {
  let bytes = 0
  for (const intent of intents)
    if (intent.type === 'text') bytes += intent.update.length
    else bytes += intent.key.length + (intent.type === 'set' ? intent.value.length : 0) + WRITE_BYTES_EXTRA
  return bytes
}

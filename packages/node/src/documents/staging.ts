import type { BaseTip } from '@sealmesh/protocol/crdt/base'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Dot, VersionVector } from '@sealmesh/protocol/crdt/clock'
import { blockOf, decodeRow } from '@sealmesh/protocol/crdt/row'
import type { Document } from '@sealmesh/protocol/crdt/document'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import type { DocumentId, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import type { Logger } from 'pino'
import type { BaseRecord, Incoming } from '../store/base-store.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import type { Store } from '../store/store.ts'
import { readRow, type RowsDeps } from './adoption-rows.ts'
import { stepTo } from './adoption-step.ts'
import type { CatchUp } from './catch-up.ts'
import type { Adopted, ReceiveReport } from './filling.ts'
import { type Stage, StagedView, type StagedViewDeps } from './staged-view.ts'
import type { Transfers } from './transfers.ts'

export interface StagingDeps extends StagedViewDeps, RowsDeps {
  readonly store: Store
  readonly index: DocumentIndex
  readonly node: NodeId
  readonly catchUp: CatchUp
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** What is durable of it is another thing now; `settled`: no base is on its way to it any more. */
  readonly adopted: (name: DocumentName, id: DocumentId, settled: boolean) => void
  /** Runs it in the document's queue, with no batch in flight; who reads waits, and then reads the disk. */
  readonly alone: (name: DocumentName, work: () => Promise<Adopted>) => Promise<void>
  /** Brings the document into memory: who watches it is told of what a switch changes. */
  readonly open: (name: DocumentName) => Promise<Document>
  /** The same, while it is alone. */
  readonly inMemory: (id: DocumentId) => Document | undefined
  /** Why a base was not taken: for `why`. */
  readonly baseRefused: (name: DocumentName, code: string) => void
  /** A base has taken the place of what was here; so many registers ended with it. */
  readonly switched: (name: DocumentName, id: DocumentId, gone: number) => void
}

/**
 * Receives a base beside what is here of its incarnations (docs/spec/09-bases.md §6). Each step is durable; the document
 * is read and written as it was, until one commit puts the base in the place of all that lies at and below its ends.
 */
export class Staging {
  readonly #deps: StagingDeps
  readonly #transfers: Transfers
  readonly #view: StagedView

  constructor(deps: StagingDeps, transfers: Transfers) {
    this.#deps = deps
    this.#transfers = transfers
    this.#view = new StagedView(deps)
  }

  has(id: DocumentId): boolean {
    return this.#view.has(id)
  }

  /** What peers are told of a document of which `vector` is durable here. */
  claim(id: DocumentId, vector: VersionVector): VersionVector {
    return this.#view.claim(id, vector)
  }

  /** Whether a whole block is one that a staged base waits for. */
  isMissing(id: DocumentId, dot: Pick<Dot, 'incarnation' | 'sequence'>): boolean {
    return this.#view.isMissing(id, dot)
  }

  look(id: DocumentId, record: BaseRecord, staged: Incoming): Promise<Stage> {
    return this.#view.look(id, record, staged)
  }

  /** The disk says nothing of it any more, or may not. */
  forget(id: DocumentId): void {
    this.#view.forget(id)
  }

  /** What a stop has cut short between the last row and the switch. */
  async resume(): Promise<void> {
    const { blocks, index, alone, open } = this.#deps
    for (const id of (await blocks.bases.receiving()).keys()) {
      const name = index.get(id)?.name
      if (name === undefined || !this.has(id)) continue
      await open(name)
      await alone(name, () => this.switchOver(name, id))
    }
  }

  /**
   * Only where this node has fallen behind may a base come beside what is here; what it may take away is another matter
   * (`StagedView.plan`). A row of our own that we have lost proves that this home was put back from a copy.
   */
  isAllowed({ rows, ends, document }: PrunedItem, id: DocumentId, ours: ReadonlyMap<IncarnationId, number>): boolean {
    const { index, catchUp, node, sodium } = this.#deps
    const forked = index.get(id)?.forked ?? []
    // Whoever wrote two histories to a node in good standing is none of a base's business.
    if (!this.#hasLapsed(document, id) && ends.some(({ dot }) => forked.includes(dot.incarnation))) return false
    if (catchUp.isBehind(document, id)) return true
    const isLost = ({ incarnation, sequence }: Pick<Dot, 'incarnation' | 'sequence'>): boolean =>
      sequence > (ours.get(incarnation) ?? 0) && isIncarnationOf(incarnation, node, sodium)
    const unsaid = { name: document, stored: 0, refused: 0, waiting: 0, unknownHeads: [] }
    return rows.some((row) => {
      const decoded = decodeRow(row.bytes, sodium)
      if (!decoded.ok || !isLost(blockOf(decoded.value).header)) return false
      return readRow(this.#deps, row, document, unsaid) !== undefined
    })
  }

  async begin(
    item: PrunedItem,
    id: DocumentId,
    sender: NodeId,
    record: BaseRecord | undefined,
    report: ReceiveReport,
  ): Promise<Adopted> {
    const generation = await this.#deps.blocks.bases.freshGeneration(id)
    const before = { generation, tips: [], target: item.ends, rows: 0, bytes: 0 }
    return this.step(item, id, sender, { record: record ?? NOTHING_YET, before, begins: true }, report)
  }

  /** Rows of a base that is staged, or begins to be. */
  async step(
    item: PrunedItem,
    id: DocumentId,
    sender: NodeId,
    { record, before, begins }: { readonly record: BaseRecord; readonly before: Incoming; readonly begins: boolean },
    report: ReceiveReport,
  ): Promise<Adopted> {
    const { store, blocks } = this.#deps
    const step = await stepTo(this.#deps, item, id, before, report)
    const { next, operations, dots, stored, isElsewhere, fits, broken } = step
    if (broken !== undefined) {
      this.#refuse(broken, item, id, sender, report)
      return 'nothing'
    }
    // The first rows go on from where this node stood: from now on it claims less, and is sent those before them.
    if (stored === 0 && !(begins && isElsewhere)) return 'nothing'
    const reason = fits ? await this.#branchesOff(item.document, id, record, dots) : 'TEXTS_BROKEN'
    if (reason !== undefined) {
      this.#refuse(reason, item, id, sender, report)
      return begins ? 'nothing' : this.drop(item.document, id)
    }
    await store.commit([...operations, blocks.bases.put(id, { ...record, dirty: true, staged: next })])
    report.stored += stored
    this.#transfers.advanced(id, sender, begins)
    return this.switchOver(item.document, id)
  }

  /** Whole blocks that a staged base waits for. Durable when it resolves. */
  async fill(name: DocumentName, id: DocumentId, blocks: readonly Block[], report: ReceiveReport): Promise<void> {
    const { open, alone, store } = this.#deps
    await open(name)
    await alone(name, async () => {
      const operations = this.#view.fill(id, blocks)
      if (operations.length === 0) return 'nothing'
      await store.commit(operations)
      report.stored += operations.length
      this.#transfers.advanced(id, this.#transfers.senderOf(id), false)
      return this.switchOver(name, id)
    })
  }

  /** What came beside the document goes, and it is what it was all the time. */
  async drop(name: DocumentName, id: DocumentId): Promise<Adopted> {
    const { store, blocks, adopted } = this.#deps
    const record = await blocks.bases.read(id)
    if (record?.staged !== undefined)
      await store.commit([blocks.bases.put(id, { ...record, dirty: true, staged: undefined })])
    this.forget(id)
    if (record !== undefined && record.target.length > 0) this.#transfers.advanced(id, undefined, true)
    else this.#transfers.ended(id)
    adopted(name, id, true)
    return 'nothing'
  }

  #refuse(code: string, item: PrunedItem, id: DocumentId, sender: NodeId, report: ReceiveReport): void {
    this.#deps.log.warn({ code }, 'what a peer keeps below its base was refused')
    this.#deps.baseRefused(item.document, code)
    report.refused = item.rows.length
    this.#transfers.bar(id, sender)
  }

  #hasLapsed(name: DocumentName, id: DocumentId): boolean {
    return this.#deps.catchUp.silences(name, id).length > 0
  }

  /** Whether one of these is not the block that lies here in its place. */
  async #branchesOff(
    name: DocumentName,
    id: DocumentId,
    record: BaseRecord,
    dots: readonly Dot[],
  ): Promise<'FORKED_BELOW_BASE' | undefined> {
    const { blocks } = this.#deps
    // Others have compacted the other history, and this node was away: the switch lists what goes.
    if (this.#hasLapsed(name, id)) return undefined
    const tips = sequencesOf((await blocks.tips(id)).map((dot) => ({ dot })))
    const base = sequencesOf(record.tips)
    for (const dot of dots) {
      const isWhole = dot.sequence > (base.get(dot.incarnation) ?? 0)
      if (isWhole && dot.sequence <= (tips.get(dot.incarnation) ?? 0) && !(await blocks.has(id, dot)))
        return 'FORKED_BELOW_BASE'
    }
    return undefined
  }

  /** Once nothing of it is missing, one commit puts the staged base in the place of what is here. */
  async switchOver(name: DocumentName, id: DocumentId): Promise<Adopted> {
    const { store, blocks, adopted, inMemory, switched, log } = this.#deps
    const record = await blocks.bases.read(id)
    if (record?.staged === undefined) return 'nothing'
    const missing = await this.look(id, record, record.staged)
    const before = inMemory(id)
    // What is not in memory is damaged: with the damage the staged base goes, or the next row comes back to it.
    if (missing === 'rows' || missing === 'blocks' || before === undefined) {
      adopted(name, id, false)
      return 'nothing'
    }
    const plan = missing === 'forked' ? 'FORKED_BELOW_BASE' : await this.#view.plan(id, name, record.staged, before)
    if (typeof plan === 'string') {
      log.warn({ code: plan }, 'a base that was received beside a document cannot take its place')
      this.#deps.baseRefused(name, plan)
      this.#transfers.bar(id)
      return this.drop(name, id)
    }
    await store.commit(plan.operations)
    plan.landed()
    this.forget(id)
    this.#transfers.ended(id)
    log.info({ gone: plan.gone, leftOut: plan.leftOut }, 'a base has taken the place of what was here of a document')
    adopted(name, id, true)
    switched(name, id, plan.gone)
    return 'whole'
  }
}

const NOTHING_YET: BaseRecord = { generation: 0, dirty: true, tips: [], target: [], rows: 0, bytes: 0 }

const sequencesOf = (ends: readonly Pick<BaseTip, 'dot'>[]): Map<IncarnationId, number> =>
  new Map(ends.map(({ dot }) => [dot.incarnation, dot.sequence]))

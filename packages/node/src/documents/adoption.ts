import { setImmediate as nextTurn } from 'node:timers/promises'
import { type BaseTip, isPruned } from '@sealmesh/protocol/crdt/base'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { decodeBlock, verifyBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { Dot, VersionVector } from '@sealmesh/protocol/crdt/clock'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import { decodePruned, type PrunedBlock, verifyPruned } from '@sealmesh/protocol/crdt/pruned'
import type { DocumentId, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import { BLOCK_AHEAD_MS_MAX } from '@sealmesh/protocol/limits'
import { writersOf } from '@sealmesh/protocol/membership/access'
import { mayEverWrite } from '@sealmesh/protocol/membership/judge'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { PrunedItem, PrunedRow } from '@sealmesh/protocol/sync/payload'
import { mayRead } from '@sealmesh/protocol/sync/recipients'
import type { Logger } from 'pino'
import type { BaseRecord } from '../store/base-store.ts'
import type { BlockStore } from '../store/block-store.ts'
import type { DamageBook } from '../store/damage-book.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import { blockKey, tipKey } from '../store/keys.ts'
import type { Operation, Store } from '../store/store.ts'
import type { TipStore } from '../store/tip-store.ts'
import type { Adopted, ReceiveReport } from './filling.ts'

/** A base that nobody has sent anything of for so long gives way to what others send. */
const GIVEN_UP_MS = 60_000
/** Nor may it take longer, however it trickles: a slow line moves gigabytes in an hour. */
const TRANSFER_MS_MAX = 3_600_000
/** Whose base was given up begins no other one here for so long: or it would keep whole blocks out for ever. */
const BARRED_MS = 3_600_000
/** Another sender's base waits for so long: two would take turns for ever. */
const OTHER_SENDER_MS = 10_000
/** Signatures checked before others get a turn. */
const VERIFY_PER_TURN = 64

export interface AdoptionDeps {
  readonly store: Store
  readonly blocks: BlockStore
  readonly tips: TipStore
  readonly damage: DamageBook
  readonly index: DocumentIndex
  readonly sodium: Sodium
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly now: () => number
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** What is durable of it is another thing now; `settled`: no base is on its way to it any more. */
  readonly adopted: (name: DocumentName, id: DocumentId, settled: boolean) => void
  /** Runs it in the document's queue, with no batch in flight; who reads waits, and then reads the disk. */
  readonly alone: (name: DocumentName, work: () => Promise<Adopted>) => Promise<void>
}

/**
 * Receives what a peer has left below its base (docs/spec/09-bases.md §4). Each step is durable and moves the document's
 * own base towards the peer's, so a transfer that is cut goes on where it was, with this peer or another at that base.
 *
 * Until the base is whole, nothing at or below it is taken as a whole block: a write that the sender has let go of,
 * together with the tombstone that replaced it, would come back.
 */
export class Adoption {
  readonly #deps: AdoptionDeps
  readonly #receiving: Map<DocumentId, Progress>
  /** Writers of a document, so it stays small. */
  readonly #barred = new Map<DocumentId, Map<NodeId, number>>()

  private constructor(deps: AdoptionDeps, receiving: Map<DocumentId, Progress>) {
    this.#deps = deps
    this.#receiving = receiving
  }

  static async load(deps: AdoptionDeps): Promise<Adoption> {
    const receiving = new Map<DocumentId, Progress>()
    for (const [id, { target }] of await deps.blocks.bases.receiving())
      receiving.set(id, {
        target: sequencesOf(target.map(({ dot }) => dot)),
        sender: undefined,
        startedMs: deps.now(),
        atMs: deps.now(),
      })
    return new Adoption(deps, receiving)
  }

  /** Whether a base is on its way to the document. */
  isReceiving(id: DocumentId): boolean {
    return this.#receiving.has(id)
  }

  /** Whether a whole block has to wait for the base that is on its way. */
  isBelow(id: DocumentId, { incarnation, sequence }: Pick<Dot, 'incarnation' | 'sequence'>): boolean {
    const progress = this.#receiving.get(id)
    return progress !== undefined && sequence <= (progress.target.get(incarnation) ?? 0)
  }

  /** Of a damaged document: what has come of the base that is on its way, or what lies before the damage. */
  async claimable(id: DocumentId): Promise<VersionVector> {
    const { blocks, damage } = this.#deps
    const record = await blocks.bases.read(id).catch(() => undefined)
    if (record !== undefined && record.target.length > 0) return record.tips.map(({ dot }) => dot)
    return damage.lower(id, await blocks.tips(id))
  }

  /** Nobody sends the rest of it, or it takes for ever: what came is let go, and others may send whole blocks. */
  async giveUpIfStale(name: DocumentName, id: DocumentId): Promise<void> {
    const progress = this.#receiving.get(id)
    if (progress === undefined || !this.#isOver(progress)) return
    await this.#deps.alone(name, () => {
      if (progress.sender !== undefined) {
        const barred = this.#barred.get(id) ?? new Map<NodeId, number>()
        this.#barred.set(id, barred.set(progress.sender, this.#deps.now() + BARRED_MS))
      }
      return this.#giveUp(name, id)
    })
  }

  /** One step, in the document's own queue. Durable when it resolves. */
  async receive(item: PrunedItem, id: DocumentId, sender: NodeId): Promise<ReceiveReport> {
    const { document: name } = item
    const report: ReceiveReport = { name, stored: 0, refused: 0, waiting: 0, unknownHeads: [] }
    const mesh = this.#deps.mesh()
    // Its word is that what is not there does not count: only those may say so who could delete it now.
    if (!mayRead(mesh, name, this.#deps.node) || !mayWriteNow(mesh, name, sender))
      return this.#refuse(report, item, 'NOT_A_WRITER')
    if (item.rows.length === 0 || item.ends.length === 0) return this.#refuse(report, item, 'NO_ROWS')
    if ((this.#barred.get(id)?.get(sender) ?? 0) > this.#deps.now()) return this.#refuse(report, item, 'GIVEN_UP')
    await this.#deps.alone(name, () => this.#step(item, id, sender, report))
    return report
  }

  async #step(item: PrunedItem, id: DocumentId, sender: NodeId, report: ReceiveReport): Promise<Adopted> {
    const { blocks, damage, now } = this.#deps
    // What was lost here is sent again, of our own blocks too.
    const isDamaged = damage.of(id).length > 0
    const vector = isDamaged ? await this.claimable(id) : await blocks.tips(id)
    const ours = sequencesOf(vector)
    if (item.ends.every(({ dot }) => (ours.get(dot.incarnation) ?? 0) >= dot.sequence)) return 'nothing'
    const record = await blocks.bases.read(id)
    const isUnderWay = record !== undefined && record.target.length > 0
    if (isUnderWay && isSameBase(record.target, item.ends)) return this.#store(item, id, sender, record, report, false)
    const progress = this.#receiving.get(id)
    if (progress !== undefined && progress.sender !== sender && now() - progress.atMs < OTHER_SENDER_MS) {
      report.waiting = item.rows.length
      return 'nothing'
    }
    if (!(await this.#areTheirs(item, report))) return 'nothing'
    const reason = isDamaged ? undefined : this.#holds(vector, record, item.ends)
    if (reason !== undefined || (isDamaged && !isUnderWay && liesBelow(item.ends, record?.tips ?? []))) {
      this.#refuse(report, item, reason ?? 'BASE_BELOW_OURS')
      return 'nothing'
    }
    const generation = await blocks.bases.freshGeneration(id)
    const fresh: BaseRecord = { generation, dirty: isDamaged, tips: [], target: item.ends, rows: 0, bytes: 0 }
    return this.#store(item, id, sender, fresh, report, true)
  }

  /** Why a base cannot begin here: what others wrote is never given up for one that may not exist, nor are our words. */
  #holds(vector: VersionVector, record: BaseRecord | undefined, ends: PrunedItem['ends']): string | undefined {
    const coming = new Set(record?.target.map(({ dot }) => dot.incarnation))
    const named = new Set(ends.map(({ dot }) => dot.incarnation))
    const here = vector.filter(({ incarnation }) => named.has(incarnation) && !coming.has(incarnation))
    if (here.some(({ incarnation }) => this.#isOwn(incarnation))) return 'OWN_BLOCKS_BELOW_BASE'
    // One that began in a damaged document lies among blocks that were here before.
    const isOurs = record !== undefined && (record.target.length === 0 ? record.tips.length > 0 : record.dirty)
    return here.length > 0 || isOurs ? 'BLOCKS_BELOW_BASE' : undefined
  }

  /** Whether each end is under an incarnation of somebody who has or had a right to the document. */
  async #areTheirs({ ends, rows, document: name }: PrunedItem, report: ReceiveReport): Promise<boolean> {
    const { sodium, log } = this.#deps
    const mesh = this.#deps.mesh()
    const authors = [...mesh.nodes.keys()].filter((node) => mayEverWrite(mesh, node, name))
    for (const [at, { dot }] of ends.entries()) {
      if (at % VERIFY_PER_TURN === VERIFY_PER_TURN - 1) await nextTurn()
      if (authors.some((author) => isIncarnationOf(dot.incarnation, author, sodium))) continue
      // Its author's admission may be on its way: then the heads of what it wrote are not known either.
      for (const row of rows) this.#wait(row, report)
      if (report.unknownHeads.length > 0) return false
      report.refused = rows.length
      log.warn({ code: 'END_NOT_THEIRS' }, 'what a peer keeps below its base was refused')
      return false
    }
    return true
  }

  #wait({ pruned, bytes }: PrunedRow, report: ReceiveReport): void {
    const { sodium, mesh } = this.#deps
    const decoded = pruned ? decodePruned(bytes, sodium) : decodeBlock(bytes, sodium)
    const missing = decoded.ok ? decoded.value.header.logHeads.filter((head) => !mesh().records.has(head)) : []
    if (missing.length > 0) report.waiting += 1
    for (const head of missing) if (!report.unknownHeads.includes(head)) report.unknownHeads.push(head)
  }

  /** Nothing is written, and nothing let go, before a row has proved to be what it says. */
  async #store(
    item: PrunedItem,
    id: DocumentId,
    sender: NodeId,
    before: BaseRecord,
    report: ReceiveReport,
    begins: boolean,
  ): Promise<Adopted> {
    const { store, blocks, damage, tips: tipStore, index, adopted, now } = this.#deps
    const tips = new Map(before.tips.map((tip) => [tip.dot.incarnation, tip]))
    const ends = new Map(before.target.map((end) => [end.dot.incarnation, end]))
    const grown = new Set<IncarnationId>()
    const operations: Operation[] = []
    let [rows, bytes, stored, isElsewhere] = [before.rows, before.bytes, 0, false]
    for (const [at, row] of item.rows.entries()) {
      if (at > 0 && at % VERIFY_PER_TURN === 0) await nextTurn()
      const block = this.#read(row, item.document, report)
      if (block === undefined) break // What follows it would leave a hole that nobody sees.
      const { incarnation, sequence, author, time } = block.header
      const end = ends.get(incarnation)
      if (end === undefined || sequence > end.dot.sequence) break
      const here = tips.get(incarnation)?.dot.sequence ?? 0
      if (sequence <= here) continue
      if (row.after > here) {
        report.waiting += 1
        isElsewhere = true
        break
      }
      if (sequence === end.dot.sequence && block.hash !== end.dot.hash) break
      const dot = { incarnation, sequence, hash: block.hash }
      if (row.pruned) {
        operations.push(blocks.bases.putRow(id, before.generation, block as PrunedBlock))
        rows += 1
        bytes += block.bytes.length
      } else operations.push(blocks.put(id, block))
      tips.set(incarnation, { dot, author, time, heard: sequence === end.dot.sequence ? end.heard : [] })
      grown.add(incarnation)
      stored += 1
    }
    const isDamaged = damage.of(id).length > 0
    if (stored === 0) {
      if (!begins || !isElsewhere) return 'nothing'
      // It goes on from what came of another base, or from what is whole of a damaged document: it has to come from
      // its beginning.
      if (!isDamaged) return this.#giveUp(item.document, id)
    }
    const sorted = [...tips.values()].sort((a, b) => (a.dot.incarnation < b.dot.incarnation ? -1 : 1))
    const whole = before.target.every(({ dot }) => tips.get(dot.incarnation)?.dot.hash === dot.hash)
    const record = { ...before, tips: sorted, target: whole ? [] : before.target, rows, bytes }
    const vector = sorted.map(({ dot }) => dot)
    const gone = begins && !isDamaged ? await this.#goneWithout(id) : undefined
    // Own blocks beyond it have stayed, and their ends are noted.
    for (const dot of await blocks.tips(id))
      if (gone === undefined && dot.sequence > (tips.get(dot.incarnation)?.dot.sequence ?? 0))
        grown.delete(dot.incarnation)
    const known = index.get(id)
    const entry = known ?? { name: item.document, forked: [] }
    if (known === undefined) operations.push(...index.put(id, entry))
    // In one commit: what came of another base goes when this one begins.
    await store.commit([
      ...(gone?.operations ?? []),
      ...operations,
      ...tipStore.put(id, vector, grown),
      blocks.bases.put(id, record),
    ])
    if (known === undefined) index.remember(id, entry)
    report.stored += stored
    const target = sequencesOf(before.target.map(({ dot }) => dot))
    const last = this.#receiving.get(id)
    // Who changes its base wins no time by it.
    const startedMs = begins && last?.sender !== sender ? now() : (last?.startedMs ?? now())
    if (whole) this.#receiving.delete(id)
    else this.#receiving.set(id, { target, sender, startedMs, atMs: now() })
    adopted(item.document, id, whole)
    return whole ? 'whole' : 'step'
  }

  #isOver({ atMs, startedMs }: Progress): boolean {
    const nowMs = this.#deps.now()
    return nowMs - atMs >= GIVEN_UP_MS || nowMs - startedMs >= TRANSFER_MS_MAX
  }

  /** What has come of a base that was never whole goes, in one commit; what is here besides stays and is read. */
  async #giveUp(name: DocumentName, id: DocumentId): Promise<Adopted> {
    const { store, blocks, damage, index, adopted } = this.#deps
    if (!this.#receiving.has(id)) return 'nothing'
    const record = await blocks.bases.read(id)
    if (damage.of(id).length > 0 || record?.dirty === true) {
      // It was not read before, and is not now. What lies here may be what is missing elsewhere.
      await store.commit([blocks.bases.remove(id)])
    } else {
      const { operations, left } = await this.#goneWithout(id)
      await store.commit([...operations, blocks.bases.remove(id)])
      if (left === 0) await index.forget(id)
    }
    this.#receiving.delete(id)
    this.#deps.log.info('what came of a base that nobody went on sending was let go')
    adopted(name, id, true)
    return 'whole'
  }

  /**
   * To let go of all that came of the base that is on its way, and of what stands on it. Nothing else of these
   * incarnations was here when it began. `left`: incarnations that stay.
   */
  async #goneWithout(id: DocumentId): Promise<{ operations: Operation[]; left: number }> {
    const { blocks } = this.#deps
    const record = await blocks.bases.read(id)
    const coming = new Set(record?.target.map(({ dot }) => dot.incarnation))
    const operations: Operation[] = [...coming].map((incarnation) => ({
      type: 'delete',
      key: tipKey(id, incarnation),
    }))
    for await (const dot of blocks.dots(id))
      if (coming.has(dot.incarnation)) operations.push({ type: 'delete', key: blockKey(id, dot) })
    for (const key of await blocks.bases.leftOver(id, undefined, Number.POSITIVE_INFINITY))
      operations.push({ type: 'delete', key })
    const left = (await blocks.tips(id)).filter(({ incarnation }) => !coming.has(incarnation)).length
    return { operations, left }
  }

  /** A row that is what it says, by somebody who has or had a right to the document; or a line in the report. */
  #read({ pruned, bytes }: PrunedRow, name: DocumentName, report: ReceiveReport): Block | PrunedBlock | undefined {
    const { sodium } = this.#deps
    const mesh = this.#deps.mesh()
    // A copy: a row that is kept must not keep the packet that it came in.
    const decoded = pruned ? decodePruned(bytes.slice(), sodium) : decodeBlock(bytes.slice(), sodium)
    if (!decoded.ok) return this.#turnAway(report, 'BLOCK_MALFORMED')
    const block: Block | PrunedBlock = decoded.value
    const { header, writes } = block
    const { agent, layer } = header.document
    if (header.mesh !== mesh.id || agent !== name.agent || layer !== name.layer)
      return this.#turnAway(report, 'OTHER_DOCUMENT')
    if (!pruned && writes[0]?.type !== 'text') return this.#turnAway(report, 'NOT_PRUNED')
    if (!isIncarnationOf(header.incarnation, header.author, sodium))
      return this.#turnAway(report, 'INCARNATION_NOT_THEIRS')
    // Below a base everything counted: who knows the log that far can judge it.
    const missing = header.logHeads.filter((head) => !mesh.records.has(head))
    const signKey = mesh.nodes.get(header.author)?.signKey
    if (missing.length > 0) {
      report.waiting += 1
      for (const head of missing) if (!report.unknownHeads.includes(head)) report.unknownHeads.push(head)
      return undefined
    }
    if (signKey === undefined || !mayEverWrite(mesh, header.author, name)) return this.#turnAway(report, 'NOT_A_WRITER')
    const verified = isPruned(block) ? verifyPruned(block, signKey, sodium) : verifyBlock(block, signKey, sodium)
    if (!verified) return this.#turnAway(report, 'BLOCK_SIGNATURE')
    // As any block it wins nothing early, and what is left below a base cannot be held.
    if (header.time.wallMs <= this.#deps.now() + BLOCK_AHEAD_MS_MAX) return block
    report.waiting += 1
    return undefined
  }

  #turnAway(report: ReceiveReport, code: string): undefined {
    report.refused += 1
    this.#deps.log.warn({ code }, 'a block below a peer’s base was refused')
    return undefined
  }

  #refuse(report: ReceiveReport, item: PrunedItem, code: string): ReceiveReport {
    this.#deps.log.warn({ code }, 'what a peer keeps below its base was refused')
    report.refused = item.rows.length
    return report
  }

  #isOwn(incarnation: IncarnationId): boolean {
    return isIncarnationOf(incarnation, this.#deps.node, this.#deps.sodium)
  }
}

interface Progress {
  readonly target: ReadonlyMap<IncarnationId, number>
  /** Of the last row. */
  readonly sender: NodeId | undefined
  readonly startedMs: number
  /** When the last row came that was not here. */
  readonly atMs: number
}

const sequencesOf = (vector: VersionVector): Map<IncarnationId, number> =>
  new Map(vector.map((dot) => [dot.incarnation, dot.sequence]))

const liesBelow = (ends: readonly Pick<BaseTip, 'dot'>[], tips: readonly BaseTip[]): boolean =>
  tips.some((tip) => {
    const end = ends.find(({ dot }) => dot.incarnation === tip.dot.incarnation)
    return end === undefined || end.dot.sequence < tip.dot.sequence
  })

const isSameBase = (a: readonly Pick<BaseTip, 'dot'>[], b: readonly Pick<BaseTip, 'dot'>[]): boolean =>
  a.length === b.length && a.every(({ dot }, at) => isSameDot(dot, b[at]?.dot))

const isSameDot = (a: Dot, b: Dot | undefined): boolean =>
  a.incarnation === b?.incarnation && a.sequence === b.sequence && a.hash === b.hash

/** Not whoever wrote it once: a node that was removed, has lapsed or lost the term says nothing of it any more. */
const mayWriteNow = (mesh: Mesh, { agent, layer }: DocumentName, node: NodeId): boolean =>
  writersOf(mesh, agent, layer).includes(node) && mesh.nodes.get(node)?.lapsed === false

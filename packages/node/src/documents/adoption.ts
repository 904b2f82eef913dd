import { setImmediate as nextTurn } from 'node:timers/promises'
import { type BaseTip, isPruned } from '@sealmesh/protocol/crdt/base'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { decodeBlock, verifyBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { Dot, VersionVector } from '@sealmesh/protocol/crdt/clock'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import { decodePruned, type PrunedBlock, verifyPruned } from '@sealmesh/protocol/crdt/pruned'
import type { DocumentId, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import { mayEverWrite } from '@sealmesh/protocol/membership/judge'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { PrunedItem, PrunedRow } from '@sealmesh/protocol/sync/payload'
import { mayRead, wrote } from '@sealmesh/protocol/sync/recipients'
import type { Logger } from 'pino'
import type { BaseRecord } from '../store/base-store.ts'
import type { BlockStore } from '../store/block-store.ts'
import type { DamageBook } from '../store/damage-book.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import { blockKey, tipKey } from '../store/keys.ts'
import type { Operation, Store } from '../store/store.ts'
import type { TipStore } from '../store/tip-store.ts'
import type { ReceiveReport } from './filling.ts'

/** A base that nobody has sent anything of for so long gives way to what others send. */
const GIVEN_UP_MS = 60_000
/** Another sender's base waits for so long: two would take turns for ever. */
const OTHER_SENDER_MS = 10_000
/** Signatures checked before others get a turn. */
const VERIFY_PER_TURN = 64
const DELETES_PER_COMMIT = 512

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
  /** What is durable of it is another thing now; `whole`: the base is complete. */
  readonly adopted: (name: DocumentName, id: DocumentId, whole: boolean) => void
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

  private constructor(deps: AdoptionDeps, receiving: Map<DocumentId, Progress>) {
    this.#deps = deps
    this.#receiving = receiving
  }

  static async load(deps: AdoptionDeps): Promise<Adoption> {
    const receiving = new Map<DocumentId, Progress>()
    for (const [id, { target }] of await deps.blocks.bases.receiving())
      receiving.set(id, { target: sequencesOf(target.map(({ dot }) => dot)), sender: undefined, atMs: deps.now() })
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

  /** Nobody sends the rest of it: what came is let go, and others may send whole blocks. */
  async giveUpIfStale(name: DocumentName, id: DocumentId): Promise<void> {
    const progress = this.#receiving.get(id)
    if (progress === undefined || this.#deps.now() - progress.atMs < GIVEN_UP_MS) return
    await this.#clear(id)
    this.#receiving.delete(id)
    this.#deps.adopted(name, id, false)
  }

  /** One step. Durable when it resolves. */
  async receive(item: PrunedItem, id: DocumentId, sender: NodeId): Promise<ReceiveReport> {
    const { document: name } = item
    const report: ReceiveReport = { name, stored: 0, refused: 0, waiting: 0, unknownHeads: [] }
    const { mesh, node, log, blocks, damage, now } = this.#deps
    const refuse = (code: string): ReceiveReport => {
      log.warn({ code }, 'what a peer keeps below its base was refused')
      return { ...report, refused: item.rows.length }
    }
    // Its word is that what is not there does not count: only those may say so who could delete it.
    if (!mayRead(mesh(), name, node) || !wrote(mesh(), name, sender)) return refuse('NOT_A_WRITER')
    // What was lost here is sent again, of our own blocks too.
    const isDamaged = damage.of(id).length > 0
    const vector = isDamaged ? await this.claimable(id) : await blocks.tips(id)
    const ours = sequencesOf(vector)
    if (item.ends.every(({ dot }) => (ours.get(dot.incarnation) ?? 0) >= dot.sequence)) return report
    const record = await blocks.bases.read(id)
    const isSame = record !== undefined && record.target.length > 0 && isSameBase(record.target, item.ends)
    if (!isSame) {
      const progress = this.#receiving.get(id)
      if (progress !== undefined && progress.sender !== sender && now() - progress.atMs < OTHER_SENDER_MS)
        return { ...report, waiting: item.rows.length }
      // Our own words are never given up for what somebody says of them.
      if (!isDamaged && vector.some((dot) => this.#isOwn(dot.incarnation) && isNamed(dot, item.ends)))
        return refuse('OWN_BLOCKS_BELOW_BASE')
      await this.#clear(id)
    }
    const target = item.ends
    this.#receiving.set(id, { target: sequencesOf(target.map(({ dot }) => dot)), sender, atMs: now() })
    const before = isSame ? record : await this.#begin(id, target)
    await this.#store(item, id, before, report)
    return report
  }

  async #begin(id: DocumentId, target: BaseRecord['target']): Promise<BaseRecord> {
    const generation = await this.#deps.blocks.bases.freshGeneration(id)
    return { generation, dirty: false, tips: [], target, rows: 0, bytes: 0 }
  }

  async #store(item: PrunedItem, id: DocumentId, before: BaseRecord, report: ReceiveReport): Promise<void> {
    const { store, blocks, tips: tipStore, index, adopted } = this.#deps
    const tips = new Map(before.tips.map((tip) => [tip.dot.incarnation, tip]))
    const ends = new Map(before.target.map((end) => [end.dot.incarnation, end]))
    const grown = new Set<IncarnationId>()
    const operations: Operation[] = []
    let [rows, bytes] = [before.rows, before.bytes]
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
      report.stored += 1
    }
    const sorted = [...tips.values()].sort((a, b) => (a.dot.incarnation < b.dot.incarnation ? -1 : 1))
    const whole = before.target.every(({ dot }) => tips.get(dot.incarnation)?.dot.hash === dot.hash)
    const record = { ...before, tips: sorted, target: whole ? [] : before.target, rows, bytes }
    const vector = sorted.map(({ dot }) => dot)
    // Own blocks beyond it have stayed, and their ends are noted.
    for (const dot of await blocks.tips(id))
      if (dot.sequence > (tips.get(dot.incarnation)?.dot.sequence ?? 0)) grown.delete(dot.incarnation)
    const known = index.get(id)
    const entry = known ?? { name: item.document, forked: [] }
    if (known === undefined) operations.push(...index.put(id, entry))
    await store.commit([...operations, ...tipStore.put(id, vector, grown), blocks.bases.put(id, record)])
    if (known === undefined) index.remember(id, entry)
    if (whole) this.#receiving.delete(id)
    adopted(item.document, id, whole)
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
    return verified ? block : this.#turnAway(report, 'BLOCK_SIGNATURE')
  }

  #turnAway(report: ReceiveReport, code: string): undefined {
    report.refused += 1
    this.#deps.log.warn({ code }, 'a block below a peer’s base was refused')
    return undefined
  }

  /** Lets go of all that others wrote here: it comes again, pruned or whole. The ends first, so that none is missed. */
  async #clear(id: DocumentId): Promise<void> {
    const { store, blocks } = this.#deps
    const foreign: Dot[] = []
    const base = await blocks.bases.read(id)
    for await (const dot of blocks.dots(id)) if (!this.#isOwn(dot.incarnation)) foreign.push(dot)
    const incarnations = new Set(
      [...foreign, ...(base?.tips ?? []).map(({ dot }) => dot)].map((dot) => dot.incarnation),
    )
    await store.commit([...incarnations].map((incarnation) => ({ type: 'delete', key: tipKey(id, incarnation) })))
    if (base !== undefined)
      await store.commit([blocks.bases.put(id, { ...base, dirty: true, tips: [], target: [], rows: 0, generation: 0 })])
    // From the last to the first: what is left has no hole at any time.
    for (let end = foreign.length; end > 0; end -= DELETES_PER_COMMIT) {
      const some = foreign.slice(Math.max(0, end - DELETES_PER_COMMIT), end)
      await store.commit(some.map((dot) => ({ type: 'delete', key: blockKey(id, dot) })))
    }
    for (;;) {
      const keys = await blocks.bases.leftOver(id, undefined, DELETES_PER_COMMIT)
      if (keys.length === 0) return
      await store.commit(keys.map((key) => ({ type: 'delete', key })))
    }
  }

  #isOwn(incarnation: IncarnationId): boolean {
    return isIncarnationOf(incarnation, this.#deps.node, this.#deps.sodium)
  }
}

interface Progress {
  readonly target: ReadonlyMap<IncarnationId, number>
  readonly sender: NodeId | undefined
  readonly atMs: number
}

const sequencesOf = (vector: VersionVector): Map<IncarnationId, number> =>
  new Map(vector.map((dot) => [dot.incarnation, dot.sequence]))

const isNamed = (dot: Dot, ends: readonly Pick<BaseTip, 'dot'>[]): boolean =>
  ends.some((end) => end.dot.incarnation === dot.incarnation)

const isSameBase = (a: readonly Pick<BaseTip, 'dot'>[], b: readonly Pick<BaseTip, 'dot'>[]): boolean =>
  a.length === b.length && a.every(({ dot }, at) => dot.hash === b[at]?.dot.hash)

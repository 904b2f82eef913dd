import type { BaseTip } from '@sealmesh/protocol/crdt/base'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Dot, VersionVector } from '@sealmesh/protocol/crdt/clock'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import type { DocumentId, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import { writersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { PrunedItem } from '@sealmesh/protocol/sync/payload'
import { mayRead } from '@sealmesh/protocol/sync/recipients'
import type { BaseRecord } from '../store/base-store.ts'
import type { DamageBook } from '../store/damage-book.ts'
import { goneWithout } from './adoption-gone.ts'
import { areTheirs, readRow } from './adoption-rows.ts'
import { stepTo } from './adoption-step.ts'
import { withAllEnds } from './closed-bases.ts'
import type { ClosedSets } from './closed-sets.ts'
import type { Adopted, ReceiveReport } from './filling.ts'
import { Staging, type StagingDeps } from './staging.ts'
import { Transfers } from './transfers.ts'

export interface AdoptionDeps extends StagingDeps {
  readonly damage: DamageBook
  readonly closed: ClosedSets
}

/**
 * Receives what a peer has left below its base (docs/spec/09-bases.md §4). Each step is durable and moves the document's
 * own base towards the peer's, so a transfer that is cut goes on where it was, with this peer or another at that base.
 *
 * Until the base is whole, nothing at or below it is taken as a whole block: a write that the sender has let go of,
 * together with the tombstone that replaced it, would come back.
 *
 * Where something of the base's incarnations is here, and this node has fallen behind, the base is staged instead: see
 * `Staging`.
 */
export class Adoption {
  readonly #deps: AdoptionDeps
  readonly #transfers: Transfers
  /** What is received beside a document. */
  readonly staging: Staging

  private constructor(deps: AdoptionDeps) {
    this.#deps = deps
    this.#transfers = new Transfers(deps.now)
    this.staging = new Staging(deps, this.#transfers)
  }

  static async load(deps: AdoptionDeps): Promise<Adoption> {
    const adoption = new Adoption(deps)
    for (const [id, record] of await deps.blocks.bases.receiving()) {
      adoption.#transfers.advanced(id, undefined, true)
      if (record.target.length > 0) adoption.#transfers.aim(id, record.target)
      if (record.staged !== undefined) await adoption.staging.look(id, record, record.staged)
    }
    return adoption
  }

  /** Whether a base is on its way into the document itself. */
  /** In the place of what is here, or beside it. */
  isComing(id: DocumentId): boolean {
    return this.isReceiving(id) || this.staging.has(id)
  }

  isReceiving(id: DocumentId): boolean {
    return this.#transfers.isAimed(id)
  }

  /** Whether a whole block has to wait for the base that is on its way. */
  isBelow(id: DocumentId, dot: Pick<Dot, 'incarnation' | 'sequence'>): boolean {
    return this.#transfers.isBelow(id, dot)
  }

  /** Of a damaged document: what has come of the base that is on its way, or what lies before the damage. */
  async claimable(id: DocumentId): Promise<VersionVector> {
    const { blocks, damage } = this.#deps
    const record = await blocks.bases.read(id).catch(() => undefined)
    this.staging.forget(id) // With the damage it may be gone; if not, the next row finds it.
    if (record !== undefined && record.target.length > 0) return record.tips.map(({ dot }) => dot)
    return damage.lower(id, await blocks.tips(id))
  }

  /** As `Transfers` tells it. */
  silent(isHeard: (name: DocumentName) => boolean): DocumentId[] {
    const { index } = this.#deps
    return this.#transfers.silent((id) => {
      const name = index.get(id)?.name
      return name !== undefined && isHeard(name)
    })
  }

  /** Nobody sends the rest of it, or it takes for ever: what came is let go, and others may send whole blocks. */
  async giveUpIfStale(name: DocumentName, id: DocumentId): Promise<void> {
    if (!this.#transfers.isStale(id)) return
    await this.#deps.alone(name, () => {
      this.#transfers.bar(id)
      return this.staging.has(id) ? this.staging.drop(name, id) : this.#giveUp(name, id)
    })
  }

  /** One step, in the document's own queue. Durable when it resolves. */
  async receive(said: PrunedItem, id: DocumentId, sender: NodeId): Promise<ReceiveReport> {
    const { document: name } = said
    const report: ReceiveReport = { name, stored: 0, refused: 0, waiting: 0, unknownHeads: [] }
    const mesh = this.#deps.mesh()
    // Its word is that what is not there does not count: only those may say so who could delete it now.
    if (!mayRead(mesh, name, this.#deps.node) || !mayWriteNow(mesh, name, sender))
      return this.#refuse(report, said, 'NOT_A_WRITER')
    if (said.rows.length === 0 || (said.ends.length === 0 && said.floor === null))
      return this.#refuse(report, said, 'NO_ROWS')
    if (this.#transfers.isBarred(id, sender)) return this.#refuse(report, said, 'GIVEN_UP')
    // A row of it has to be true before: what a digest of 32 bytes names may be 65,536 ends.
    if (said.floor !== null && readRow(this.#deps, said.rows[0]!, name, report) === undefined) return report
    const item = await withAllEnds(this.#deps.closed, id, said)
    if (item === undefined) {
      report.unknownFloors = said.floor === null ? [] : [{ digest: said.floor.digest, by: sender }]
      return report
    }
    if (this.#deps.catchUp.isBehind(name, id)) await this.#deps.open(name).catch(() => undefined)
    await this.#deps.alone(name, () => this.#step(item, said, id, sender, report))
    if (!this.staging.has(id) || this.#deps.inMemory(id) !== undefined) return report
    // A switch compares the base with what is read: it waits until that is in memory.
    await this.#deps.open(name).catch(() => undefined)
    await this.#deps.alone(name, () => this.staging.switchOver(name, id))
    return report
  }

  async #step(
    item: PrunedItem,
    said: PrunedItem,
    id: DocumentId,
    sender: NodeId,
    report: ReceiveReport,
  ): Promise<Adopted> {
    const { blocks, damage } = this.#deps
    // What was lost here is sent again, of our own blocks too.
    const isDamaged = damage.of(id).length > 0
    const vector = isDamaged ? await this.claimable(id) : await blocks.tips(id)
    const ours = new Map(vector.map((dot) => [dot.incarnation, dot.sequence]))
    const record = await blocks.bases.read(id)
    const staged = isDamaged ? undefined : record?.staged
    if (item.ends.every(({ dot }) => (ours.get(dot.incarnation) ?? 0) >= dot.sequence))
      return staged === undefined ? 'nothing' : this.staging.drop(item.document, id) // It has come as whole blocks.
    if (record !== undefined && staged !== undefined && isSameBase(staged.target, item.ends))
      return this.staging.step(item, id, sender, { record, before: staged, begins: false }, report)
    const isUnderWay = record !== undefined && record.target.length > 0
    if (isUnderWay && isSameBase(record.target, item.ends)) return this.#store(item, id, sender, record, report, false)
    if (this.#transfers.isTaken(id, sender)) {
      report.waiting = item.rows.length
      return 'nothing'
    }
    // What a closed set names was looked at when that came, and is too much to be looked at for each packet.
    if (!(await areTheirs(this.#deps, said, report))) return 'nothing'
    const reason = isDamaged ? undefined : this.#holds(vector, record, item.ends)
    if (reason !== undefined || (isDamaged && !isUnderWay && liesBelow(item.ends, record?.tips ?? []))) {
      if (reason !== undefined && this.staging.isAllowed(item, id, ours))
        return this.staging.begin(item, id, sender, record, report)
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

  /** Nothing is written, and nothing let go, before a row has proved to be what it says. */
  async #store(
    item: PrunedItem,
    id: DocumentId,
    sender: NodeId,
    before: BaseRecord,
    report: ReceiveReport,
    begins: boolean,
  ): Promise<Adopted> {
    const { store, blocks, damage, tips: tipStore, index, adopted, catchUp } = this.#deps
    const step = await stepTo(this.#deps, item, id, before, report)
    const { next, operations, grown, stored, isElsewhere, whole } = step
    const isDamaged = damage.of(id).length > 0
    if (step.broken !== undefined) {
      this.#refuse(report, item, step.broken)
      this.#transfers.bar(id, sender)
      return 'nothing'
    }
    if (stored === 0) {
      if (!begins || !isElsewhere) return 'nothing'
      // It goes on from what came of another base, or from what is whole of a damaged document: it has to come from
      // its beginning.
      if (!isDamaged) return this.#giveUp(item.document, id)
    }
    if (!step.fits) {
      this.#refuse(report, item, 'TEXTS_BROKEN')
      this.#transfers.bar(id, sender)
      return this.#giveUp(item.document, id)
    }
    const record: BaseRecord = { ...before, ...next, target: whole ? [] : before.target, staged: undefined }
    const gone = begins && !isDamaged ? await goneWithout(blocks, id) : undefined
    // Own blocks beyond it have stayed, and their ends are noted.
    const reached = new Map(next.tips.map(({ dot }) => [dot.incarnation, dot.sequence]))
    for (const dot of await blocks.tips(id))
      if (gone === undefined && dot.sequence > (reached.get(dot.incarnation) ?? 0)) grown.delete(dot.incarnation)
    const known = index.get(id)
    const entry = known ?? { name: item.document, forked: [] }
    const vector = next.tips.map(({ dot }) => dot)
    const marked = known === undefined ? catchUp.begin(item.document, id, true) : undefined
    // In one commit: what came of another base goes when this one begins.
    await store.commit([
      ...(gone?.operations ?? []),
      ...operations,
      ...(known === undefined ? index.put(id, entry) : []),
      ...tipStore.put(id, vector, grown),
      ...(marked?.operations ?? []),
      blocks.bases.put(id, record),
    ])
    if (known === undefined) index.remember(id, entry)
    marked?.landed()
    this.staging.forget(id)
    report.stored += stored
    if (whole) this.#transfers.ended(id)
    else {
      this.#transfers.aim(id, before.target)
      this.#transfers.advanced(id, sender, begins)
    }
    adopted(item.document, id, whole)
    return whole ? 'whole' : 'step'
  }

  /** What has come of a base that was never whole goes, in one commit; what is here besides stays and is read. */
  async #giveUp(name: DocumentName, id: DocumentId): Promise<Adopted> {
    const { store, blocks, damage, index, adopted } = this.#deps
    if (!this.#transfers.isAimed(id)) return 'nothing'
    const record = await blocks.bases.read(id)
    if (damage.of(id).length > 0 || record?.dirty === true) {
      // It was not read before, and is not now. What lies here may be what is missing elsewhere.
      await store.commit([blocks.bases.remove(id)])
    } else {
      const { operations, left } = await goneWithout(blocks, id)
      await store.commit([...operations, blocks.bases.remove(id)])
      if (left === 0) await index.forget(id)
    }
    this.#transfers.ended(id)
    this.#deps.log.info('what came of a base that nobody went on sending was let go')
    adopted(name, id, true)
    return 'whole'
  }

  #refuse(report: ReceiveReport, item: PrunedItem, code: string): ReceiveReport {
    this.#deps.log.warn({ code }, 'what a peer keeps below its base was refused')
    this.#deps.baseRefused(item.document, code)
    report.refused = item.rows.length
    return report
  }

  #isOwn(incarnation: IncarnationId): boolean {
    return isIncarnationOf(incarnation, this.#deps.node, this.#deps.sodium)
  }
}

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

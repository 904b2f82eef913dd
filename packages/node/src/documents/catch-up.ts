import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { Dot, VersionVector } from '@sealmesh/protocol/crdt/clock'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import type { DocumentId, IncarnationId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { readersOf, readingRights, writersOf } from '@sealmesh/protocol/membership/access'
import { lapsesFor } from '@sealmesh/protocol/membership/lapse'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { mayRead } from '@sealmesh/protocol/sync/recipients'
import type { DocumentIndex } from '../store/document-index.ts'
import type { Standing, StandingStore } from '../store/standing-store.ts'
import type { Operation, Store } from '../store/store.ts'

/** Of dots that are not here so many are looked at: each costs a hash for each node. A word with more is not reached. */
const UNKNOWN_MAX = 16
/** After so long nobody is waited for: a word of something that nobody has would hold up compaction for ever. */
const CATCH_UP_MS_MAX = 30 * 86_400_000

/** Who reads a document is asked of the log: of so many before others get a turn. */
const DOCUMENTS_PER_TURN = 256

export interface CatchUpDeps {
  readonly store: Store
  readonly index: DocumentIndex
  readonly standings: StandingStore
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly sodium: Sodium
  readonly now: () => number
}

/** A note, for the commit that makes it true. */
export interface Mark {
  readonly operations: readonly Operation[]
  readonly landed: () => void
}

/**
 * Whether this node has fallen behind what others have of a document, so that it may take their word for all of it
 * (docs/spec/09-bases.md §6): it has lapsed and nobody waited for it, or it never had the document whole.
 */
export class CatchUp {
  readonly #deps: CatchUpDeps
  /** Documents that this node is behind with, whether or not they are here. Worked out when one of its lapses is new. */
  readonly #open = new Set<DocumentId>()
  #lapses: readonly RecordHash[] | undefined
  /** Since when rights are compared, and up to where they were. */
  readonly #began: Mesh
  #judged: Mesh | undefined

  constructor(deps: CatchUpDeps) {
    this.#deps = deps
    this.#began = deps.mesh()
  }

  isBehind(name: DocumentName, id: DocumentId): boolean {
    return this.#deps.standings.of(id).partial || this.silences(name, id).length > 0
  }

  /** Lapses of this node after which it has not reached what others have. */
  silences(name: DocumentName, id: DocumentId): RecordHash[] {
    const { standings, node, mesh } = this.#deps
    const lapses = lapsesFor(mesh(), node, name)
    if (lapses.length === 0) return lapses
    const { overcome } = standings.of(id)
    return lapses.filter((lapse) => !overcome.includes(lapse))
  }

  /**
   * A document begins here. Where others began it, what is here is not known to be all that this node should have; and
   * where this node does not read it, nobody waits for what it has. Undefined where it is the first to write.
   */
  begin(name: DocumentName, id: DocumentId, byOthers: boolean): Mark | undefined {
    const unawaited = !mayRead(this.#deps.mesh(), name, this.#deps.node)
    if (!byOthers && !unawaited) return undefined
    return this.#mark(id, { ...this.#deps.standings.of(id), partial: true, unawaited })
  }

  /**
   * Has reached what others have; undefined when it has not. `words`: what each reader said last that it has. A newcomer
   * has when it has all that one present writer names. A node that had lapsed has when it has all that is named, and
   * among those who name it is one that was there all the time: whatever others have let go of since, that one had
   * received. Where no such node is left, all who are present have to be heard. Nobody is waited for for ever.
   */
  reach(
    name: DocumentName,
    id: DocumentId,
    vector: VersionVector,
    words: ReadonlyMap<NodeId, VersionVector>,
  ): Mark | undefined {
    const { standings, mesh: meshNow, node } = this.#deps
    const mesh = meshNow()
    if (!mayRead(mesh, name, node)) return undefined // What it hears then is not all that there is.
    const { partial, unawaited, overcome } = standings.of(id)
    const ours = new Map<IncarnationId, number>()
    for (const { incarnation, sequence } of vector)
      ours.set(incarnation, Math.max(sequence, ours.get(incarnation) ?? 0))
    const present = readersOf(mesh, name.agent, name.layer).filter(
      (each) => each !== node && mesh.nodes.get(each)?.lapsed === false,
    )
    const said = new Map(present.map((each) => [each, this.#compare(words.get(each) ?? [], ours)]))
    const heard = present.filter((each) => said.get(each) !== 'nothing')
    const covered = heard.filter((each) => said.get(each) === 'covered')
    if (covered.length === 0) return undefined
    const isAll = covered.length === heard.length
    const ended = this.silences(name, id).filter((lapse) => {
      if (this.#isLongAgo(lapse)) return true
      const witnesses = present.filter((each) => isWitness(mesh, each, lapse, name))
      const enough =
        witnesses.length > 0 ? heard.some((each) => witnesses.includes(each)) : heard.length === present.length
      return isAll && enough
    })
    const writers = writersOf(mesh, name.agent, name.layer)
    const isWhole = partial && covered.some((each) => writers.includes(each))
    if (ended.length === 0 && !isWhole) return undefined
    const isPartial = partial && !isWhole
    return this.#mark(id, { partial: isPartial, unawaited: unawaited && isPartial, overcome: [...overcome, ...ended] })
  }

  /**
   * Whether a base may be drawn. Who had lapsed leaves it to others, which know better what is to be kept; but not for
   * ever, since one word of something that nobody has would be enough for that.
   */
  mayDraw(name: DocumentName, id: DocumentId): boolean {
    return this.silences(name, id).every((lapse) => this.#isLongAgo(lapse))
  }

  /** How a word stands to what is here. Blocks of nobody do not count, nor a word that names nothing else. */
  #compare(word: VersionVector, ours: ReadonlyMap<IncarnationId, number>): 'covered' | 'beyond' | 'nothing' {
    const beyond = word.filter(({ incarnation, sequence }) => sequence > (ours.get(incarnation) ?? 0))
    if (beyond.length > UNKNOWN_MAX) return 'beyond'
    const nodes = [...this.#deps.mesh().nodes.keys()]
    const isSomebodys = ({ incarnation }: Dot): boolean =>
      ours.has(incarnation) || nodes.some((each) => isIncarnationOf(incarnation, each, this.#deps.sodium))
    if (beyond.some(isSomebodys)) return 'beyond'
    return beyond.length < word.length ? 'covered' : 'nothing'
  }

  /** This node has been back since that lapse for so long that it waits for nobody any more. */
  #isLongAgo(lapse: RecordHash): boolean {
    const { mesh: meshNow, node, now } = this.#deps
    const mesh = meshNow()
    const returns = (mesh.nodes.get(node)?.prekeys ?? []).filter(({ record }) => mesh.isInPast(lapse, record))
    return returns.some(({ record }) => now() - (mesh.records.get(record)?.timeMs ?? now()) >= CATCH_UP_MS_MAX)
  }

  /**
   * Own blocks whose author knew that it had lapsed, and may not have caught up: what it said again after an earlier
   * lapse may have been unheard at the next one.
   */
  saidBehind(name: DocumentName, id: DocumentId, blocks: readonly Block[]): Block[] {
    if (this.silences(name, id).length === 0) return []
    const mesh = this.#deps.mesh()
    const lapses = lapsesFor(mesh, this.#deps.node, name)
    return blocks.filter(
      ({ header: { author, logHeads } }) =>
        author === this.#deps.node && logHeads.some((head) => lapses.some((lapse) => mesh.isInPast(lapse, head))),
    )
  }

  /** Asked all the time: it costs as much as there are of these, not of all that are here. */
  documents(): DocumentName[] {
    const { mesh, node, index } = this.#deps
    const lapses = (mesh().nodes.get(node)?.lapses ?? []).map(({ record }) => record)
    const isKnown = lapses.length === this.#lapses?.length && lapses.every((lapse, at) => lapse === this.#lapses?.[at])
    if (!isKnown) this.#workOut(lapses)
    return [...this.#open].flatMap((id) => index.get(id)?.name ?? [])
  }

  #workOut(lapses: readonly RecordHash[]): void {
    const { mesh, node, standings, sodium } = this.#deps
    this.#lapses = lapses
    this.#open.clear()
    for (const [id, { partial }] of standings.entries()) if (partial) this.#open.add(id)
    for (const { cuts } of mesh().nodes.get(node)?.lapses ?? [])
      for (const { document } of cuts) {
        const id = documentIdOf(document, sodium)
        if (this.isBehind(document, id)) this.#open.add(id)
      }
  }

  /** The database holds less than it once did, of whichever document. Durable when it resolves. */
  async wasPutBack(): Promise<void> {
    const { index, standings } = this.#deps
    for (const [id] of index.entries())
      await this.note(this.#mark(id, { ...standings.of(id), partial: true, unawaited: true }))
  }

  /**
   * The log is another one. Documents that this node does not read, or has not read for a while in between, it falls
   * behind with: others do not wait for it. Durable when it resolves.
   */
  async judged(mesh: Mesh): Promise<void> {
    const { index, standings } = this.#deps
    if (this.#judged === mesh) return
    const before = this.#judged ?? this.#began
    this.#judged = mesh
    const missed: DocumentId[] = []
    for (const [at, [id, { name }]] of [...index.entries()].entries()) {
      if (at % DOCUMENTS_PER_TURN === DOCUMENTS_PER_TURN - 1) await nextTurn()
      if (!standings.of(id).unawaited && !this.#hasReadOn(name, before, mesh)) missed.push(id)
    }
    const marks = missed.map((id) => this.#mark(id, { ...standings.of(id), partial: true, unawaited: true }))
    if (marks.length === 0) return
    await this.#deps.store.commit(marks.flatMap(({ operations }) => operations))
    for (const { landed } of marks) landed()
  }

  #hasReadOn({ agent, layer }: DocumentName, before: Mesh, mesh: Mesh): boolean {
    const { node } = this.#deps
    const rights = readingRights(mesh, agent, layer, node)
    const had = readingRights(before, agent, layer, node)
    // Where it had none the note was made then.
    return rights.length > 0 && (had.length === 0 || had.some((right) => rights.includes(right)))
  }

  isUnawaited(id: DocumentId): boolean {
    return this.#deps.standings.of(id).unawaited
  }

  /** Durable when it resolves. */
  async note({ operations, landed }: Mark): Promise<void> {
    await this.#deps.store.commit(operations)
    landed()
  }

  #mark(id: DocumentId, standing: Standing): Mark {
    const { standings } = this.#deps
    const landed = (): void => {
      standings.remember(id, standing)
      const name = this.#deps.index.get(id)?.name
      if (standing.partial || (name !== undefined && this.isBehind(name, id))) this.#open.add(id)
      else this.#open.delete(id)
    }
    return { operations: [standings.put(id, standing)], landed }
  }
}

/** Was a member before that lapse, and back from each of its own: it has received what others have let go of since. */
function isWitness(mesh: Mesh, node: NodeId, lapse: RecordHash, name: DocumentName): boolean {
  const known = mesh.nodes.get(node)
  if (known === undefined || !mesh.isInPast(known.admittedBy, lapse)) return false
  return lapsesFor(mesh, node, name).every((own) =>
    known.prekeys.some(({ record }) => mesh.isInPast(own, record) && mesh.isInPast(record, lapse)),
  )
}

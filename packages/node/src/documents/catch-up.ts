import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import type { DocumentId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { readersOf, writersOf } from '@sealmesh/protocol/membership/access'
import { lapsesFor } from '@sealmesh/protocol/membership/lapse'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { DocumentIndex } from '../store/document-index.ts'
import type { Standing, StandingStore } from '../store/standing-store.ts'
import type { Operation, Store } from '../store/store.ts'

export interface CatchUpDeps {
  readonly store: Store
  readonly index: DocumentIndex
  readonly standings: StandingStore
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly sodium: Sodium
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

  constructor(deps: CatchUpDeps) {
    this.#deps = deps
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

  /** What is here of it is not known to be all that this node ever had, or ever should have had. */
  fallBehind(id: DocumentId): Mark {
    return this.#mark(id, { ...this.#deps.standings.of(id), partial: true })
  }

  /**
   * Has reached what others have; undefined when it has not. `words`: what each reader said last that it has. For a node
   * that had lapsed one of them is enough that was there before and never lapsed itself: whatever others have let go of
   * since, that one had received. For a newcomer one present writer is enough.
   * What a word says of incarnations that belong to nobody does not count.
   */
  reach(
    name: DocumentName,
    id: DocumentId,
    vector: VersionVector,
    words: ReadonlyMap<NodeId, VersionVector>,
  ): Mark | undefined {
    const mesh = this.#deps.mesh()
    const { partial, overcome } = this.#deps.standings.of(id)
    const ours = new Map<string, number>()
    for (const { incarnation, sequence } of vector)
      ours.set(incarnation, Math.max(sequence, ours.get(incarnation) ?? 0))
    const present = readersOf(mesh, name.agent, name.layer).filter(
      (each) => each !== this.#deps.node && mesh.nodes.get(each)?.lapsed === false,
    )
    const heard = present.filter((each) => (words.get(each)?.length ?? 0) > 0)
    const isSomebodys = ({ incarnation }: VersionVector[number]): boolean =>
      [...mesh.nodes.keys()].some((each) => isIncarnationOf(incarnation, each, this.#deps.sodium))
    const isCovered = (each: NodeId): boolean =>
      words.get(each)?.every((dot) => dot.sequence <= (ours.get(dot.incarnation) ?? 0) || !isSomebodys(dot)) === true
    const covered = heard.filter(isCovered)
    if (covered.length === 0) return undefined
    const isWitness = (each: NodeId, lapse: RecordHash): boolean =>
      lapsesFor(mesh, each, name).length === 0 && mesh.isInPast(mesh.nodes.get(each)!.admittedBy, lapse)
    const isAll = covered.length === heard.length
    const ended = this.silences(name, id).filter((lapse) => isAll && heard.some((each) => isWitness(each, lapse)))
    const writers = writersOf(mesh, name.agent, name.layer)
    const isWhole = partial && covered.some((each) => writers.includes(each))
    if (ended.length === 0 && !isWhole) return undefined
    return this.#mark(id, { partial: partial && !isWhole, overcome: [...overcome, ...ended] })
  }

  /** Own blocks whose author knew that it had lapsed, and had not caught up. */
  saidBehind(name: DocumentName, id: DocumentId, blocks: readonly Block[]): Block[] {
    const mesh = this.#deps.mesh()
    const silences = this.silences(name, id)
    return blocks.filter(
      ({ header: { author, logHeads } }) =>
        author === this.#deps.node && logHeads.some((head) => silences.some((lapse) => mesh.isInPast(lapse, head))),
    )
  }

  documents(): DocumentName[] {
    return [...this.#deps.index.entries()].flatMap(([id, { name }]) => (this.isBehind(name, id) ? [name] : []))
  }

  /** Of every document. Durable when it resolves. */
  async fallBehindEverywhere(): Promise<void> {
    for (const [id] of this.#deps.index.entries()) await this.note(this.fallBehind(id))
  }

  /** Durable when it resolves. */
  async note({ operations, landed }: Mark): Promise<void> {
    await this.#deps.store.commit(operations)
    landed()
  }

  #mark(id: DocumentId, standing: Standing): Mark {
    const { standings } = this.#deps
    return { operations: [standings.put(id, standing)], landed: () => standings.remember(id, standing) }
  }
}

import { compareDots, type Dot, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { Document } from '@sealmesh/protocol/crdt/document'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import type { DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { BaseRecord, Incoming } from '../store/base-store.ts'
import type { BlockStore } from '../store/block-store.ts'
import type { Operation } from '../store/store.ts'
import type { TipStore } from '../store/tip-store.ts'
import { decodeStored } from './delta.ts'
import { readWith } from './stored-document.ts'

export interface StagedViewDeps {
  readonly blocks: BlockStore
  readonly tips: TipStore
  readonly sodium: Sodium
  readonly judge: () => Judge
  readonly now: () => number
}

/** Blocks above the coming base of which our own base has left too little: they have to come whole before it. */
interface Gap {
  /** The last one that is here. */
  readonly last: Dot
  readonly to: Dot
}

interface View {
  /** What peers are told of the coming base's incarnations: nothing yet, a dot, or what is here anyway. */
  readonly claims: ReadonlyMap<IncarnationId, Dot | 'nothing' | 'ours'>
  readonly gaps: Map<IncarnationId, Gap>
}

/** What is missing before a staged base can take the place of what is here. */
export type Stage = 'rows' | 'blocks' | 'nothing' | 'forked'

/** What the switch writes, and how many registers end with it. */
export interface Switch {
  readonly operations: readonly Operation[]
  readonly gone: number
}

/**
 * What is claimed of documents beside which a base is received, and what it still waits for. Only so much is claimed as
 * will be left when that base has taken its place: so peers send the rest, and none takes a receipt for what will go.
 *
 * 1. Nothing that lies above the coming ends is lost: what our own base has left too little of comes whole first.
 * 2. Nothing that is set aside is below them: it would go without being listed.
 */
export class StagedView {
  readonly #deps: StagedViewDeps
  readonly #views = new Map<DocumentId, View>()

  constructor(deps: StagedViewDeps) {
    this.#deps = deps
  }

  has(id: DocumentId): boolean {
    return this.#views.has(id)
  }

  forget(id: DocumentId): void {
    this.#views.delete(id)
  }

  /** What peers are told in the place of what is durable here. */
  claim(id: DocumentId, vector: VersionVector): VersionVector {
    const view = this.#views.get(id)
    if (view === undefined) return vector
    const claimed = vector.filter(({ incarnation }) => (view.claims.get(incarnation) ?? 'ours') === 'ours')
    for (const dot of view.claims.values()) if (typeof dot !== 'string') claimed.push(dot)
    return claimed.sort(compareDots)
  }

  /** Whether a whole block is one that has to come first. */
  isMissing(id: DocumentId, { incarnation, sequence }: Pick<Dot, 'incarnation' | 'sequence'>): boolean {
    const gap = this.#views.get(id)?.gaps.get(incarnation)
    return gap !== undefined && sequence > gap.last.sequence && sequence <= gap.to.sequence
  }

  /** Those of these blocks that go on from what is here. They lie below our base, where nothing reads them. */
  fill(id: DocumentId, blocks: readonly Block[]): Operation[] {
    const operations: Operation[] = []
    const gaps = this.#views.get(id)?.gaps ?? new Map<IncarnationId, Gap>()
    for (const block of blocks.toSorted((a, b) => a.header.sequence - b.header.sequence)) {
      const { incarnation, sequence, previous } = block.header
      const gap = gaps.get(incarnation)
      if (gap === undefined || previous !== gap.last.hash || sequence > gap.to.sequence) continue
      operations.push(this.#deps.blocks.put(id, block))
      gaps.set(incarnation, { ...gap, last: { incarnation, sequence, hash: block.hash } })
    }
    return operations
  }

  /** Looks at the disk, and keeps in mind what is to be claimed and what is missing. */
  async look(id: DocumentId, record: BaseRecord, staged: Incoming): Promise<Stage> {
    const { blocks } = this.#deps
    const come = new Map(staged.tips.map(({ dot }) => [dot.incarnation, dot]))
    const claims = new Map<IncarnationId, Dot | 'nothing' | 'ours'>()
    const gaps = new Map<IncarnationId, Gap>()
    this.#views.set(id, { claims, gaps })
    if (staged.target.some(({ dot }) => come.get(dot.incarnation)?.hash !== dot.hash)) {
      for (const { dot } of staged.target) claims.set(dot.incarnation, come.get(dot.incarnation) ?? 'nothing')
      return 'rows'
    }
    const tips = new Map((await blocks.tips(id)).map((dot) => [dot.incarnation, dot.sequence]))
    const base = new Map(record.tips.map(({ dot }) => [dot.incarnation, dot]))
    for (const { dot: end } of staged.target) {
      const own = base.get(end.incarnation)
      if ((tips.get(end.incarnation) ?? 0) < end.sequence) claims.set(end.incarnation, end)
      else if (own !== undefined && own.sequence > end.sequence) {
        const last = await this.#reach(id, end, own)
        if (last.sequence === own.sequence && last.hash !== own.hash) return 'forked'
        claims.set(end.incarnation, last.hash === own.hash ? 'ours' : last)
        if (last.hash !== own.hash) gaps.set(end.incarnation, { last, to: own })
      } else {
        if (own?.hash !== end.hash && !(await blocks.has(id, end))) return 'forked'
        claims.set(end.incarnation, 'ours')
      }
    }
    return gaps.size > 0 ? 'blocks' : 'nothing'
  }

  /** How far whole blocks lie here from a coming end on towards where our own base lies. */
  async #reach(id: DocumentId, end: Dot, own: Dot): Promise<Dot> {
    const { blocks, sodium } = this.#deps
    let last = end
    for await (const stored of blocks.run(id, end.incarnation, end.sequence + 1)) {
      if (stored.sequence > own.sequence) break
      const { header, hash } = decodeStored(stored, id, sodium)
      if (header.previous !== last.hash) continue
      last = { incarnation: header.incarnation, sequence: header.sequence, hash }
    }
    return last
  }

  /** What puts the staged base in the place of what is here, or why it cannot be. Writes nothing. */
  async plan(
    id: DocumentId,
    name: DocumentName,
    staged: Incoming,
    before: Document,
  ): Promise<Switch | 'ASIDE_BELOW_BASE' | 'BASE_BROKEN'> {
    const { blocks, tips, sodium, judge, now } = this.#deps
    const ends = new Map(staged.target.map(({ dot }) => [dot.incarnation, dot]))
    const lies = ({ header }: Block): boolean => header.sequence <= (ends.get(header.incarnation)?.sequence ?? 0)
    if (before.aside().some(({ block }) => lies(block))) return 'ASIDE_BELOW_BASE' // Invariant (2).
    const record: BaseRecord = { ...staged, target: [], dirty: true }
    const { above, base } = await readWith(record, blocks, id, sodium, 'whole')
    const after = Document.rebuild(name, above, judge(), now(), sodium, base)
    const reached = new Set(after.vector.map(({ hash }) => hash))
    const isLost = (dot: Dot): boolean =>
      !reached.has(dot.hash) && dot.sequence > (ends.get(dot.incarnation)?.sequence ?? 0)
    if (after.isDamaged || after.early > 0 || before.vector.some(isLost)) return 'BASE_BROKEN' // Invariant (1).
    const known = new Map(before.vector.map((dot) => [dot.incarnation, dot.sequence]))
    const grown = [...ends.values()].filter((end) => end.sequence > (known.get(end.incarnation) ?? 0))
    const left = new Set(after.keys())
    let gone = 0
    for (const key of before.keys()) if (!left.has(key)) gone += 1
    return {
      operations: [
        ...tips.put(
          id,
          after.vector,
          grown.map(({ incarnation }) => incarnation),
        ),
        blocks.bases.put(id, record),
      ],
      gone,
    }
  }
}

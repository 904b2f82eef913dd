import { compareDots, type Dot, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { Document } from '@sealmesh/protocol/crdt/document'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import type { BlockHash, DocumentId, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { BaseRecord, Incoming } from '../store/base-store.ts'
import type { BlockStore } from '../store/block-store.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import { blockKey } from '../store/keys.ts'
import type { LeftOut, LeftOutStore } from '../store/left-out-store.ts'
import type { Operation } from '../store/store.ts'
import type { TipStore } from '../store/tip-store.ts'
import type { CatchUp } from './catch-up.ts'
import { decodeStored } from './delta.ts'
import { leftOutOf, undeletedIn, wordsOf } from './left-out.ts'
import { readWith } from './stored-document.ts'

export interface StagedViewDeps {
  readonly blocks: BlockStore
  readonly tips: TipStore
  readonly index: DocumentIndex
  readonly leftOut: LeftOutStore
  readonly catchUp: CatchUp
  readonly node: NodeId
  readonly sodium: Sodium
  readonly judge: () => Judge
  readonly now: () => number
}

/** Blocks above the coming base of which our own base has left too little: they have to come whole before it. */
interface Gap {
  /** The last one that is here; its hash is null where the coming base has nothing of the incarnation. */
  readonly last: From
  readonly to: Dot
}

type From = Omit<Dot, 'hash'> & { readonly hash: BlockHash | null }

interface View {
  /** What peers are told of the coming base's incarnations: nothing yet, a dot, or what is here anyway. */
  readonly claims: ReadonlyMap<IncarnationId, Dot | 'nothing' | 'ours'>
  readonly gaps: Map<IncarnationId, Gap>
  /** Of these there are two histories, and the coming base has the other one. */
  readonly contested: Set<IncarnationId>
}

/** What is missing before a staged base can take the place of what is here. */
export type Stage = 'rows' | 'blocks' | 'nothing' | 'forked'

/** What the switch writes, how many registers end with it, and how much of what was read is listed from now on. */
export interface Switch {
  readonly operations: readonly Operation[]
  readonly landed: () => void
  readonly gone: number
  readonly leftOut: number
}

export type Refusal = 'ASIDE_BELOW_BASE' | 'BASE_BROKEN' | 'FORKED_BELOW_BASE' | 'LEFT_OUT_FULL' | 'ROWS_LEFT_OUT'

/**
 * What is claimed of documents beside which a base is received, and what it still waits for. Only so much is claimed as
 * will be left when that base has taken its place: so peers send the rest, and none takes a receipt for what will go.
 *
 * 1. Nothing that lies above the coming ends is lost: what our own base has left too little of comes whole first.
 * 2. Nothing that is set aside is below them: it would go without being listed.
 * 3. What was read and is not accounted for is listed in the commit that takes it away. Our own words are not taken away
 *    like that at all, but from a node that nobody waited for: it had lapsed, did not read, or was put back.
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
    const contested = new Set<IncarnationId>()
    this.#views.set(id, { claims, gaps, contested })
    if (staged.target.some(({ dot }) => come.get(dot.incarnation)?.hash !== dot.hash)) {
      for (const { dot } of staged.target) claims.set(dot.incarnation, come.get(dot.incarnation) ?? 'nothing')
      return 'rows'
    }
    const tips = new Map((await blocks.tips(id)).map((dot) => [dot.incarnation, dot.sequence]))
    const base = new Map(record.tips.map(({ dot }) => [dot.incarnation, dot]))
    const named = new Set(staged.target.map(({ dot }) => dot.incarnation))
    // Of what the coming base does not name all is above it.
    for (const own of base.values()) {
      if (named.has(own.incarnation)) continue
      const last = await this.#reach(id, { incarnation: own.incarnation, sequence: 0, hash: null }, own)
      if (last.sequence === own.sequence && last.hash !== own.hash) return 'forked'
      if (last.hash === own.hash) continue
      claims.set(own.incarnation, last.hash === null ? 'nothing' : (last as Dot))
      gaps.set(own.incarnation, { last, to: own })
    }
    const hasLapsed = this.#hasLapsed(id)
    for (const { dot: end } of staged.target) {
      const own = base.get(end.incarnation)
      if ((tips.get(end.incarnation) ?? 0) < end.sequence) claims.set(end.incarnation, end)
      else if (own !== undefined && own.sequence > end.sequence) {
        const last = await this.#reach(id, end, own)
        if (last.sequence === own.sequence && last.hash !== own.hash) return 'forked'
        claims.set(end.incarnation, last.hash === own.hash ? 'ours' : (last as Dot))
        if (last.hash !== own.hash) gaps.set(end.incarnation, { last, to: own })
      } else {
        const isHere = own?.hash === end.hash || (await blocks.has(id, end))
        // A history of which the others know nothing. Who was away takes theirs, and lists its own.
        if (!isHere && (own?.sequence === end.sequence || !hasLapsed)) return 'forked'
        claims.set(end.incarnation, isHere ? 'ours' : end)
        if (!isHere) contested.add(end.incarnation)
      }
    }
    return gaps.size > 0 ? 'blocks' : 'nothing'
  }

  /** How far whole blocks lie here from a coming end on towards where our own base lies. */
  async #reach(id: DocumentId, end: From, own: Dot): Promise<From> {
    const { blocks, sodium } = this.#deps
    let last: From = end
    for await (const stored of blocks.run(id, end.incarnation, end.sequence + 1)) {
      if (stored.sequence > own.sequence) break
      const { header, hash } = decodeStored(stored, id, sodium)
      if (header.previous !== last.hash) continue
      last = { incarnation: header.incarnation, sequence: header.sequence, hash }
    }
    return last
  }

  #hasLapsed(id: DocumentId): boolean {
    const name = this.#deps.index.get(id)?.name
    return name !== undefined && this.#deps.catchUp.silences(name, id).length > 0
  }

  /** What puts the staged base in the place of what is here, or why it cannot be. Writes nothing. */
  async plan(id: DocumentId, name: DocumentName, staged: Incoming, before: Document): Promise<Switch | Refusal> {
    const { blocks, tips, index, leftOut, sodium, judge, now } = this.#deps
    const ends = new Map(staged.target.map(({ dot }) => [dot.incarnation, dot]))
    const record: BaseRecord = { ...staged, target: [], dirty: true }
    const { above, base } = await readWith(record, blocks, id, sodium, 'whole')
    const hasLapsed = this.#hasLapsed(id)
    const below = [...base.blocks, ...base.runs.map(({ end }) => end)]
    const { kept, elsewhere } = divide(above, ends)
    const forked = index.get(id)?.forked ?? []
    const contested = new Set<IncarnationId>([
      ...(this.#views.get(id)?.contested ?? []),
      ...elsewhere.map(({ header }) => header.incarnation),
      ...forked.filter((incarnation) => ends.has(incarnation)),
      ...(hasLapsed ? await this.#besides(id, below) : []),
    ])
    if (elsewhere.length > 0 && !hasLapsed) return 'FORKED_BELOW_BASE'
    const gone = new Set(elsewhere.map(({ hash }) => hash))
    const endOf = (incarnation: IncarnationId): number => ends.get(incarnation)?.sequence ?? 0
    const goes = ({ header, hash }: Block): boolean => gone.has(hash) || header.sequence <= endOf(header.incarnation)
    const aside = before.aside().flatMap(({ block }) => (goes(block) ? [block] : []))
    if (aside.some(({ header }) => !hasLapsed || !contested.has(header.incarnation))) return 'ASIDE_BELOW_BASE' // (2)
    const after = Document.rebuild(name, kept, judge(), now(), sodium, base, before.floors)
    const short = shortTexts(before, after, contested)
    const isOurs = await this.#isBelowOurs(id)
    // The other history has less text: only of whole blocks is it known here what goes.
    if (short.some(({ incarnation, sequence }) => !hasLapsed || isOurs(incarnation) || sequence > endOf(incarnation)))
      return 'BASE_BROKEN'
    for (const { incarnation } of short) contested.add(incarnation)
    const isLost = ({ incarnation, sequence }: Dot): boolean =>
      !contested.has(incarnation) && sequence > endOf(incarnation)
    const reached = new Set(after.vector.map(({ hash }) => hash))
    if (after.isDamaged || after.early > 0 || before.vector.some((dot) => !reached.has(dot.hash) && isLost(dot)))
      return 'BASE_BROKEN' // (1)
    const signed = { document: after, blocks: [...base.blocks, ...kept] }
    // Others had long to replace more than once what they wrote.
    const mayBeReplaced = hasLapsed || this.#deps.catchUp.isUnawaited(id)
    // Of a base that has not come whole it is not known what had gone.
    const isWhole = ((await blocks.bases.read(id))?.target.length ?? 0) === 0
    const left = [
      ...leftOutOf(before, signed, contested, (author) => mayBeReplaced && author !== this.#deps.node),
      ...(isWhole ? undeletedIn(before, after, contested) : []),
    ]
    const isAwaited = !mayBeReplaced && !this.#hasLostOwn(before, ends)
    if (isAwaited && left.some(({ author }) => author === this.#deps.node)) return 'ROWS_LEFT_OUT' // (3)
    const listed = onlyOnce([
      ...left,
      ...wordsOf([...aside, ...elsewhere], await this.#textsOf(id, ends, contested), before, after),
    ])
    if (listed.length > 0 && !(await leftOut.hasRoom())) return 'LEFT_OUT_FULL' // (3)
    const known = new Map(before.vector.map((dot) => [dot.incarnation, dot.sequence]))
    const grown = [...ends.values()].filter((end) => end.sequence > (known.get(end.incarnation) ?? 0))
    const still = new Set(after.keys())
    const entry = { name, forked: [...new Set(after.forks().map(({ incarnation }) => incarnation))] }
    return {
      operations: [
        ...tips.put(id, after.vector, new Set([...grown.map(({ incarnation }) => incarnation), ...contested])),
        ...elsewhere.map(({ header: { incarnation, sequence }, hash }): Operation => {
          return { type: 'delete', key: blockKey(id, { incarnation, sequence, hash }) }
        }),
        ...(contested.size > 0 ? index.put(id, entry) : []),
        ...listed.map((each) => leftOut.put(id, each)),
        blocks.bases.put(id, record),
      ],
      landed: () => {
        leftOut.landed()
        if (contested.size > 0) index.remember(id, entry)
      },
      gone: [...before.keys()].filter((key) => !still.has(key)).length,
      leftOut: listed.length,
    }
  }

  async #isBelowOurs(id: DocumentId): Promise<(incarnation: IncarnationId) => boolean> {
    const tips = (await this.#deps.blocks.bases.read(id))?.tips ?? []
    return (incarnation) => tips.some(({ dot }) => dot.incarnation === incarnation)
  }

  /** Of which incarnations another block lies here in the place of one of these. */
  async #besides(id: DocumentId, below: readonly Pick<Block, 'header' | 'hash'>[]): Promise<Set<IncarnationId>> {
    const { blocks } = this.#deps
    const found = new Set<IncarnationId>()
    const tips = new Map((await blocks.tips(id)).map((dot) => [dot.incarnation, dot.sequence]))
    const base = new Map((await blocks.bases.read(id))?.tips.map(({ dot }) => [dot.incarnation, dot.sequence]))
    for (const { header, hash } of below) {
      const { incarnation, sequence } = header
      if (found.has(incarnation) || sequence > (tips.get(incarnation) ?? 0)) continue
      if (sequence <= (base.get(incarnation) ?? 0)) continue
      if (!(await blocks.has(id, { incarnation, sequence, hash }))) found.add(incarnation)
    }
    return found
  }

  /** Text blocks at and below the ends, of whichever history of these incarnations. */
  async #textsOf(
    id: DocumentId,
    ends: ReadonlyMap<IncarnationId, Dot>,
    contested: ReadonlySet<IncarnationId>,
  ): Promise<Block[]> {
    const { blocks, sodium } = this.#deps
    const texts: Block[] = []
    for (const incarnation of contested) {
      for await (const stored of blocks.run(id, incarnation, 1)) {
        if (stored.sequence > (ends.get(incarnation)?.sequence ?? 0)) break
        const block = decodeStored(stored, id, sodium)
        if (block.writes[0]?.type === 'text') texts.push(block)
      }
    }
    return texts
  }

  /** The base has signed words of ours that are not here: it knows more of us than we do. */
  #hasLostOwn(before: Document, ends: ReadonlyMap<IncarnationId, Dot>): boolean {
    const { node, sodium } = this.#deps
    const known = new Map(before.vector.map((dot) => [dot.incarnation, dot.sequence]))
    return [...ends.values()].some(
      ({ incarnation, sequence }) =>
        sequence > (known.get(incarnation) ?? 0) && isIncarnationOf(incarnation, node, sodium),
    )
  }
}

const onlyOnce = (all: readonly LeftOut[]): LeftOut[] => [
  ...new Map(all.map((each) => [`${each.block} ${each.write.key}`, each])).values(),
]

/** Blocks above the ends: those that go on from there, and those of a history that their author wrote beside it. */
function divide(
  above: readonly Block[],
  ends: ReadonlyMap<IncarnationId, Dot>,
): { readonly kept: Block[]; readonly elsewhere: Block[] } {
  const follows = new Set<string | null>([...ends.values()].map(({ hash }) => hash))
  const kept: Block[] = []
  const elsewhere: Block[] = []
  for (const block of above.toSorted((a, b) => a.header.sequence - b.header.sequence)) {
    const { incarnation, previous } = block.header
    const goesOn = !ends.has(incarnation) || follows.has(previous)
    if (goesOn) follows.add(block.hash)
    ;(goesOn ? kept : elsewhere).push(block)
  }
  return { kept, elsewhere }
}

/** Where something of a text is neither there nor said to be deleted. */
const shortTexts = (before: Document, after: Document, contested: ReadonlySet<IncarnationId>): Dot[] =>
  before.vector.filter(
    ({ incarnation }) => !contested.has(incarnation) && after.textEndOf(incarnation) < before.textEndOf(incarnation),
  )

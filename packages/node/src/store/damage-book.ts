import {
  decode,
  encode,
  readByte,
  readId,
  readList,
  readUint,
  writeByte,
  writeId,
  writeList,
  writeUint,
} from '@sealmesh/protocol/bytes'
import type { Block } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { BlockHash, DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import { Failure } from '@sealmesh/protocol/errors'
import { reachTips, runsFit } from '@sealmesh/protocol/crdt/placed-runs'
import { blockOf, decodeRow, isRun } from '@sealmesh/protocol/crdt/row'
import type { TextRun } from '@sealmesh/protocol/crdt/text-run'
import { BaseStore } from './base-store.ts'
import {
  afterPrefix,
  asideKey,
  blockKey,
  damageKey,
  documentOfKey,
  documentPrefix,
  runFrom,
  runPrefix,
  TABLES,
  tablePrefix,
} from './keys.ts'
import type { Operation } from './store.ts'
import { type Gap, surveyBlocks, type Surveyed } from './survey.ts'
import { TipStore } from './tip-store.ts'

/** Written down of one document at a time. The others show again when these are filled. */
const GAPS_MAX = 4_096
/** Under a stream of blocks that fill gaps one look is as good as another: what was missed is sent again. */
const SURVEYS_MAX = 3
/** Damaged bytes that are kept in the database as evidence. */
const ASIDE_BYTES_MAX = 1_048_576

/**
 * A document that was here and of which nothing at all is left: any first block begins to fill it. No incarnation is
 * all zeros, since half of one is random and the other a hash.
 */
const EVERYTHING = '0'.repeat(32) as IncarnationId

export interface Examination {
  readonly damaged: boolean
  /** Something was put right without anybody's help. */
  readonly mended: number
  readonly unreadable: boolean
}

/** What one look at a document has found, and what is to be written of it but for the gaps. */
interface Found {
  readonly gaps: readonly Gap[]
  readonly operations: Operation[]
  readonly mended: number
  readonly unreadable: boolean
}

/**
 * What is missing of which document, durably: until it is filled the document is refused, its vector is claimed only
 * up to the damage, and so every exchange of vectors asks for the rest. What a peer sends verbatim is written back,
 * since the chain of hashes and its author's signature prove it. What was whole stays where it is.
 */
export class DamageBook {
  readonly #deps: Surveyed
  readonly #tips: TipStore
  readonly #bases: BaseStore
  readonly #gaps = new Map<DocumentId, readonly Gap[]>()
  /** How often what is known of a document has changed. */
  readonly #changes = new Map<DocumentId, number>()
  #asideBytes = 0

  private constructor(deps: Surveyed) {
    this.#deps = deps
    this.#tips = new TipStore(deps.store)
    this.#bases = new BaseStore(deps.store)
  }

  /** Entries of the book that are damaged themselves are found again when their document is opened. */
  static async load(deps: Surveyed): Promise<DamageBook> {
    const book = new DamageBook(deps)
    const prefix = tablePrefix(TABLES.damage)
    for await (const { key, value } of deps.store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      const gaps = value && decode(value, (r) => readList(r, GAPS_MAX, () => readGap(r)))
      if (gaps?.ok && gaps.value.length > 0) book.#gaps.set(documentOfKey(key), gaps.value)
    }
    return book
  }

  /** Empty for a document that is whole, as far as is known. */
  of(document: DocumentId): readonly Gap[] {
    return this.#gaps.get(document) ?? []
  }

  /** What is known, to be written again where its entry was damaged. */
  entryOf(document: DocumentId): Operation {
    return this.#write(document, this.of(document))
  }

  documents(): DocumentId[] {
    return [...this.#gaps.keys()]
  }

  get size(): number {
    return this.#gaps.size
  }

  /** Reads the whole document, mends what needs nobody, and writes down what is missing. */
  async examine(document: DocumentId, expected: boolean): Promise<Examination> {
    for (let survey = 1; ; survey++) {
      const before = this.#changes.get(document)
      const found = await this.#survey(document, expected)
      // Filled meanwhile, or looked at by somebody else: what looked ruined may be the block that a peer has sent since.
      if (this.#changes.get(document) !== before && survey < SURVEYS_MAX) continue
      if (found.unreadable) this.#deps.unreadable?.()
      const { gaps, operations } = found
      if (gaps.length > 0 || this.of(document).length > 0) operations.push(this.#write(document, gaps))
      // In this turn: whoever fills these gaps writes after what is written here.
      this.#remember(document, gaps)
      if (operations.length > 0) await this.#deps.store.commit(operations)
      return { damaged: gaps.length > 0, mended: found.mended, unreadable: found.unreadable }
    }
  }

  async #survey(document: DocumentId, expected: boolean): Promise<Found> {
    const { sodium } = this.#deps
    const whole = await this.#wholeBase(document)
    const base = whole ?? []
    const known = [
      ...(await this.noted(document)),
      ...this.of(document).flatMap(({ incarnation, to }) =>
        incarnation === EVERYTHING ? [] : [{ incarnation, sequence: to }],
      ),
    ]
    const survey = await surveyBlocks(this.#deps, document, known, base)
    const operations: Operation[] = []
    // Peers send what lies below theirs, or every block. What is left of this one proves nothing without the rest.
    if (whole === undefined) operations.push(this.#bases.remove(document))
    for (const { at, block } of survey.misplaced) {
      const { incarnation, sequence } = block.header
      const key = blockKey(documentIdOf(block.header.document, sodium), { incarnation, sequence, hash: block.hash })
      operations.push({ type: 'put', key, value: block.bytes }, { type: 'delete', key: at })
    }
    for (const { key, raw } of survey.ruined) {
      operations.push({ type: 'delete', key })
      this.#asideBytes += raw.length
      if (this.#asideBytes <= ASIDE_BYTES_MAX) operations.push({ type: 'put', key: asideKey(key), value: raw })
    }
    let gaps: readonly Gap[] = survey.gaps.slice(0, GAPS_MAX)
    if (
      gaps.length === 0 &&
      expected &&
      base.length === 0 &&
      (await this.#isEmpty(document, survey.misplaced.length > 0))
    )
      gaps = [{ incarnation: EVERYTHING, from: 1, to: 1, before: null }]
    return { gaps, operations, mended: survey.misplaced.length, unreadable: survey.unreadable }
  }

  /** What may be claimed of a vector: nothing at or beyond the first hole of an incarnation. */
  lower(document: DocumentId, vector: VersionVector): VersionVector {
    const gaps = this.of(document)
    if (gaps.length === 0) return vector
    return vector.flatMap((dot) => {
      const first = gaps.find((gap) => gap.incarnation === dot.incarnation && gap.from <= dot.sequence)
      if (first === undefined) return [dot]
      if (first.before === null) return []
      return [{ incarnation: dot.incarnation, sequence: first.from - 1, hash: first.before }]
    })
  }

  /**
   * Verified blocks of a damaged document, in any order. `operations` write those back that continue from what is
   * here; `filled` must be called once they are durable.
   */
  fill(document: DocumentId, blocks: readonly Block[]): { operations: Operation[]; filled: () => void; used: number } {
    const before = this.#changes.get(document)
    let gaps = [...this.of(document)]
    const operations: Operation[] = []
    for (const block of blocks.toSorted((a, b) => a.header.sequence - b.header.sequence)) {
      const { incarnation, sequence, previous } = block.header
      const at = gaps.findIndex(
        (gap) =>
          (gap.incarnation === EVERYTHING && sequence === 1) ||
          (gap.incarnation === incarnation && gap.from === sequence && gap.before === previous),
      )
      const gap = gaps[at]
      if (gap === undefined) continue
      operations.push({
        type: 'put',
        key: blockKey(document, { incarnation, sequence, hash: block.hash }),
        value: block.bytes,
      })
      const rest = { ...gap, from: sequence + 1, before: block.hash }
      gaps = gaps.toSpliced(at, 1, ...(sequence < gap.to ? [rest] : []))
    }
    const used = operations.length
    if (used > 0) operations.push(this.#write(document, gaps))
    // If somebody has looked again meanwhile, that is what counts.
    const filled = (): void => {
      if (this.#changes.get(document) === before) this.#remember(document, gaps)
    }
    return { operations, used, filled }
  }

  /**
   * Takes the loss: the document goes on without what is missing. Whole blocks behind a hole, which nothing can fold
   * any more, are put aside and given back with how many are missing.
   */
  async accept(document: DocumentId): Promise<{ readonly missing: number; readonly behind: readonly Block[] }> {
    const { store, decode: decodeBlock } = this.#deps
    const gaps = this.of(document)
    const operations: Operation[] = [this.#write(document, []), ...(await this.#tips.remove(document))]
    const behind: Block[] = []
    let missing = 0
    for (const { incarnation, from, to } of gaps) {
      missing += to - from + 1
      if (gaps.some((gap) => gap.incarnation === incarnation && gap.from < from)) continue
      const end = afterPrefix(runPrefix(document, incarnation))
      for await (const { key, value, raw } of store.examine({ from: runFrom(document, incarnation, from), to: end })) {
        const block = value && decodeBlock(value)
        if (block !== undefined) behind.push(block)
        operations.push({ type: 'delete', key }, { type: 'put', key: asideKey(key), value: raw })
      }
    }
    await store.commit(operations)
    this.#remember(document, [])
    return { missing, behind }
  }

  /** The last blocks that are known to have been here: a lost end shows against them, holes show by themselves. */
  noted(document: DocumentId): Promise<VersionVector> {
    return this.#tips.read(document)
  }

  /** Where the document's base lies, if all that it keeps is there; undefined when some of it is damaged or lost. */
  async #wholeBase(document: DocumentId): Promise<VersionVector | undefined> {
    const { sodium } = this.#deps
    try {
      const record = await this.#bases.read(document)
      if (record === undefined) return []
      let rows = 0
      const runs: TextRun[] = []
      for await (const { bytes, hash } of this.#bases.rows(document, record.generation)) {
        const row = decodeRow(bytes, sodium)
        if (!row.ok || blockOf(row.value).hash !== hash) return undefined
        if (isRun(row.value)) runs.push(row.value)
        rows += 1
      }
      if (rows !== record.rows || !reachTips(runs, record.tips) || (record.target.length === 0 && !runsFit(runs)))
        return undefined
      return record.tips.map(({ dot }) => dot)
    } catch (error) {
      if (error instanceof Failure && error.code === 'STORE_DAMAGED') return undefined
      throw error
    }
  }

  async #isEmpty(document: DocumentId, mended: boolean): Promise<boolean> {
    if (mended) return false
    const from = documentPrefix(document)
    for await (const _ of this.#deps.store.examine({ from, to: afterPrefix(from), first: true })) return false
    return true
  }

  #write(document: DocumentId, gaps: readonly Gap[]): Operation {
    const key = damageKey(document)
    if (gaps.length === 0) return { type: 'delete', key }
    return { type: 'put', key, value: encode((w) => writeList(w, gaps, (gap) => writeGap(w, gap))) }
  }

  #remember(document: DocumentId, gaps: readonly Gap[]): void {
    this.#changes.set(document, (this.#changes.get(document) ?? 0) + 1)
    if (gaps.length === 0) this.#gaps.delete(document)
    else this.#gaps.set(document, gaps)
  }
}

function writeGap(w: Parameters<Parameters<typeof encode>[0]>[0], gap: Gap): void {
  writeId(w, gap.incarnation)
  writeUint(w, gap.from)
  writeUint(w, gap.to)
  writeByte(w, gap.before === null ? 0 : 1)
  if (gap.before !== null) writeId(w, gap.before)
}

function readGap(r: Parameters<Parameters<typeof decode>[1]>[0]): Gap {
  const incarnation = readId<IncarnationId>(r, 16)
  const [from, to] = [readUint(r), readUint(r)]
  return { incarnation, from, to, before: readByte(r) === 0 ? null : readId<BlockHash>(r, 32) }
}

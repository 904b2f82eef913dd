import { assert } from '@sealmesh/protocol/result'
import type { Block } from '@sealmesh/protocol/crdt/block'
import { compareDots, type Dot, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import { Failure } from '@sealmesh/protocol/errors'
import type { DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import { BLOCK_BYTES_MAX } from '@sealmesh/protocol/limits'
import { type BaseRecord, BaseStore } from './base-store.ts'
import { afterPrefix, blockKey, documentPrefix, dotOfKey, runFrom, runPrefix } from './keys.ts'
import type { Operation, Store } from './store.ts'

export interface StoredBlock extends Dot {
  /** As signed. Memory of its own. */
  readonly bytes: Uint8Array
}

/**
 * Blocks as their authors signed them, in chain order within each incarnation. Only what has arrived in chain order is
 * stored, so a hole is damage, and is said so: LevelDB opens without a deleted file as if it had never been.
 */
export class BlockStore {
  readonly bases: BaseStore
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
    this.bases = new BaseStore(store)
  }

  put(document: DocumentId, block: Block): Operation {
    assert(block.bytes.length <= BLOCK_BYTES_MAX, 'a block was within its limit when it was decoded or signed')
    const { incarnation, sequence } = block.header
    return { type: 'put', key: blockKey(document, { incarnation, sequence, hash: block.hash }), value: block.bytes }
  }

  /**
   * All blocks of a document: one incarnation after another, each without a hole above the base. Those at and below it
   * have not been deleted yet. Throws STORE_DAMAGED.
   */
  async *iterate(document: DocumentId, base?: BaseRecord): AsyncGenerator<StoredBlock> {
    const prefix = documentPrefix(document)
    const ends = endsOf(base)
    let before: Dot | undefined
    for await (const [key, bytes] of this.#store.read({ from: prefix, to: afterPrefix(prefix) })) {
      const dot = dotOfKey(key)
      const end = ends.get(dot.incarnation) ?? 0
      if (dot.sequence <= end) {
        yield { ...dot, bytes }
        continue
      }
      const last = before?.incarnation === dot.incarnation ? before.sequence : end
      // Two branches of a fork share sequences, so the same one may come again.
      if (dot.sequence !== last + 1 && (dot.sequence !== last || last === 0)) throw hole(document, dot, last + 1)
      yield { ...dot, bytes }
      before = dot
    }
  }

  /** Which blocks lie here, in their order, with whatever holes. */
  async *dots(document: DocumentId): AsyncGenerator<Dot> {
    const prefix = documentPrefix(document)
    for await (const { key } of this.#store.examine({ from: prefix, to: afterPrefix(prefix) })) yield dotOfKey(key)
  }

  /** One incarnation's blocks from `sequence` on. */
  async *run(document: DocumentId, incarnation: IncarnationId, sequence: number): AsyncGenerator<StoredBlock> {
    const from = runFrom(document, incarnation, sequence)
    for await (const [key, bytes] of this.#store.read({ from, to: afterPrefix(runPrefix(document, incarnation)) })) {
      yield { ...dotOfKey(key), bytes }
    }
  }

  /**
   * The last block of each incarnation, by one backward step for each: the document's version vector without loading
   * it, unless an incarnation has forked.
   */
  async tips(document: DocumentId): Promise<VersionVector> {
    const prefix = documentPrefix(document)
    const tips = new Map<IncarnationId, Dot>()
    for (let to = afterPrefix(prefix); ; ) {
      const last = await this.#last(prefix, to)
      if (last === undefined) break
      tips.set(last.incarnation, last)
      to = runPrefix(document, last.incarnation)
    }
    // Read last: a base drawn in between covers what it deleted.
    for (const { dot } of (await this.bases.read(document))?.tips ?? []) {
      if (dot.sequence > (tips.get(dot.incarnation)?.sequence ?? 0)) tips.set(dot.incarnation, dot)
    }
    return [...tips.values()].sort(compareDots)
  }

  async has(document: DocumentId, dot: Dot): Promise<boolean> {
    return (await this.#store.get(blockKey(document, dot))) !== undefined
  }

  async #last(from: Uint8Array, to: Uint8Array): Promise<Dot | undefined> {
    for await (const [key] of this.#store.read({ from, to, reverse: true, first: true })) return dotOfKey(key)
    return undefined
  }
}

/** By incarnation, where its base lies. */
export const endsOf = (base: BaseRecord | undefined): ReadonlyMap<IncarnationId, number> =>
  new Map(base?.tips.map(({ dot }) => [dot.incarnation, dot.sequence]))

function hole(document: DocumentId, dot: Dot, expected: number): Failure {
  const where = `document ${document}, incarnation ${dot.incarnation}`
  return new Failure('STORE_DAMAGED', `Block ${expected} is missing before block ${dot.sequence}: ${where}.`)
}

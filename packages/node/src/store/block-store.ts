import { assert } from '@sealmesh/protocol/result'
import type { Block } from '@sealmesh/protocol/crdt/block'
import type { Dot, VersionVector } from '@sealmesh/protocol/crdt/clock'
import { Failure } from '@sealmesh/protocol/errors'
import type { DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import { BLOCK_BYTES_MAX } from '@sealmesh/protocol/limits'
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
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  put(document: DocumentId, block: Block): Operation {
    assert(block.bytes.length <= BLOCK_BYTES_MAX, 'a block was within its limit when it was decoded or signed')
    const { incarnation, sequence } = block.header
    return { type: 'put', key: blockKey(document, { incarnation, sequence, hash: block.hash }), value: block.bytes }
  }

  /** All blocks of a document: one incarnation after another, each from its first. Throws STORE_DAMAGED. */
  async *iterate(document: DocumentId): AsyncGenerator<StoredBlock> {
    const prefix = documentPrefix(document)
    let before: Dot | undefined
    for await (const [key, bytes] of this.#store.read({ from: prefix, to: afterPrefix(prefix) })) {
      const dot = dotOfKey(key)
      const last = before?.incarnation === dot.incarnation ? before.sequence : 0
      // Two branches of a fork share sequences, so the same one may come again.
      if (dot.sequence !== last + 1 && (dot.sequence !== last || last === 0)) throw hole(document, dot, last + 1)
      yield { ...dot, bytes }
      before = dot
    }
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
    const tips: Dot[] = []
    for (let to = afterPrefix(prefix); ; ) {
      const last = await this.#last(prefix, to)
      if (last === undefined) return tips.reverse()
      tips.push(last)
      to = runPrefix(document, last.incarnation)
    }
  }

  async has(document: DocumentId, dot: Dot): Promise<boolean> {
    return (await this.#store.get(blockKey(document, dot))) !== undefined
  }

  async #last(from: Uint8Array, to: Uint8Array): Promise<Dot | undefined> {
    for await (const [key] of this.#store.read({ from, to, reverse: true, first: true })) return dotOfKey(key)
    return undefined
  }
}

function hole(document: DocumentId, dot: Dot, expected: number): Failure {
  const where = `document ${document}, incarnation ${dot.incarnation}`
  return new Failure('STORE_DAMAGED', `Block ${expected} is missing before block ${dot.sequence}: ${where}.`)
}

import type { Block } from '@sealmesh/protocol/crdt/block'
import type { Dot } from '@sealmesh/protocol/crdt/clock'
import type { DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import type { StoredBlock } from '../store/block-store.ts'

/** What is written now is pushed within a round trip or two: seconds of heavy load, and little beside the documents. */
const RECENT_BYTES_MAX = 4 * 1_048_576

/**
 * The blocks that became durable last, so that pushing a write does not wait for the disk a second time. Found by the
 * block that they follow: a walk from what a peer has to our tip is complete and on one branch, or does not arrive.
 */
export class RecentBlocks {
  readonly #bytesMax: number
  /** In order of arrival: the oldest make room. */
  readonly #following = new Map<string, StoredBlock>()
  #bytes = 0

  constructor(bytesMax: number = RECENT_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  /** Only what is durable. */
  add(document: DocumentId, { header, hash, bytes }: Block): void {
    const { incarnation, sequence, previous } = header
    const key = previous ?? firstOf(document, incarnation)
    const other = this.#following.get(key)
    // A fork: of two that follow one block the later is as good as the earlier, and the disk knows both.
    if (other !== undefined) this.#bytes -= other.bytes.length
    this.#following.set(key, { incarnation, sequence, hash, bytes })
    this.#bytes += bytes.length
    for (const [oldest, block] of this.#following) {
      if (this.#bytes <= this.#bytesMax) return
      this.#following.delete(oldest)
      this.#bytes -= block.bytes.length
    }
  }

  /** From the block after `from` (null: from the first) up to `tip`; undefined when any of them is not here. */
  between(document: DocumentId, from: Dot | null, tip: Dot): StoredBlock[] | undefined {
    const run: StoredBlock[] = []
    let at: string = from?.hash ?? firstOf(document, tip.incarnation)
    // Sequences grow along a chain, so this ends; hashes say whether it ended where it should.
    for (let sequence = (from?.sequence ?? 0) + 1; sequence <= tip.sequence; sequence++) {
      const block = this.#following.get(at)
      if (block === undefined) return undefined
      run.push(block)
      at = block.hash
    }
    return at === tip.hash ? run : undefined
  }
}

/** An incarnation has a chain in every document that it writes; hashes of blocks are one document's anyway. */
const firstOf = (document: DocumentId, incarnation: IncarnationId): string => document + incarnation

import type { BlockHash } from '../ids.ts'
import type { Block } from './block.ts'

/** Blocks that arrive before their predecessor, as packets of two paths do. Enough for several packets in flight. */
const EARLY_BLOCKS_MAX = 4_096
const EARLY_BYTES_MAX = 8 * 1_048_576

/** Kept in memory only: what falls out here is not in the vector, so a peer sends it again. */
export class EarlyBlocks {
  readonly #byPrevious = new Map<BlockHash, Block[]>()
  #count = 0
  #bytes = 0

  get count(): number {
    return this.#count
  }

  keep(block: Block): void {
    const { previous } = block.header
    if (previous === null) return
    const others = this.#byPrevious.get(previous) ?? []
    if (others.some((other) => other.hash === block.hash)) return
    // Somebody whose predecessors never come may not keep others out: the oldest make room.
    while (this.#count >= EARLY_BLOCKS_MAX || (this.#count > 0 && this.#bytes + block.bytes.length > EARLY_BYTES_MAX)) {
      const [oldest] = this.#byPrevious.keys()
      if (oldest === undefined) break
      this.takeAfter(oldest)
    }
    others.push(block)
    this.#byPrevious.set(previous, others)
    this.#count += 1
    this.#bytes += block.bytes.length
  }

  /** Those that waited for this one. */
  takeAfter(hash: BlockHash): readonly Block[] {
    if (this.#count === 0) return []
    const blocks = this.#byPrevious.get(hash)
    if (blocks === undefined) return []
    this.#byPrevious.delete(hash)
    this.#count -= blocks.length
    for (const block of blocks) this.#bytes -= block.bytes.length
    return blocks
  }
}

import type { BlockHash } from '@sealmesh/protocol/ids'
import { z } from 'zod'
import type { Meta } from '../store/meta.ts'

const Merged = z.array(z.string())
const MERGED_LATE = 'merged-late'
/** The oldest are forgotten first: their blocks are then listed again, and nothing is lost. */
const MERGED_MAX = 900

/** Late blocks that were merged on this node by choice: not offered a second time. */
export class MergedLate {
  readonly #meta: Meta
  readonly #merged: Set<string>

  private constructor(meta: Meta, merged: readonly string[]) {
    this.#meta = meta
    this.#merged = new Set(merged)
  }

  static async load(meta: Meta): Promise<MergedLate> {
    return new MergedLate(meta, (await meta.read(MERGED_LATE, Merged)) ?? [])
  }

  has(block: BlockHash): boolean {
    return this.#merged.has(block)
  }

  async add(blocks: readonly BlockHash[]): Promise<void> {
    for (const block of blocks) this.#merged.add(block)
    for (const oldest of this.#merged) {
      if (this.#merged.size <= MERGED_MAX) break
      this.#merged.delete(oldest)
    }
    await this.#meta.write(MERGED_LATE, Merged, [...this.#merged])
  }
}

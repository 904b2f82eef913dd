import { fromHex, toHex } from '../bytes.ts'
import type { BlockHash } from '../ids.ts'
import { HASH_BYTES } from '../keys.ts'

const FIRST_HASHES = 4

/** The hashes of consecutive blocks, 32 bytes for each: as strings they would take three times as much. */
export class HashRun {
  #bytes = new Uint8Array(FIRST_HASHES * HASH_BYTES)
  #length = 0

  get length(): number {
    return this.#length
  }

  push(hash: BlockHash): void {
    const at = this.#length * HASH_BYTES
    if (at === this.#bytes.length) {
      const grown = new Uint8Array(2 * at)
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    this.#bytes.set(fromHex(hash), at)
    this.#length += 1
  }

  /** Forgets the first ones. */
  drop(count: number): void {
    this.#bytes = this.#bytes.slice(count * HASH_BYTES, Math.max(this.#length, count + 1) * HASH_BYTES)
    this.#length -= count
  }

  at(index: number): BlockHash {
    return toHex(this.#bytes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)) as BlockHash
  }

  is(index: number, hash: BlockHash): boolean {
    return index >= 0 && index < this.#length && this.at(index) === hash
  }
}

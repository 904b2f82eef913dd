import { concatBytes, decode, encode, readBytes, readFixed, bytesLeft, writeBytes } from '../bytes.ts'
import { assert } from '../result.ts'

/**
 * An image is entries, a key and a value each, in one stream that is cut into chunks (docs/spec/11-recovery.md §7). Where
 * it is cut follows from the keys, so that an entry that came between others changes the chunk that it is in and no more.
 */
export interface Entry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Below it chunks cost more than they hold. */
export const CHUNK_BYTES_MIN = 32_768
/** Uncompressed, with its seal, it fits a frame of a vault. */
export const CHUNK_BYTES_MAX = 196_608
/** One entry in so many ends a chunk: with what a store holds on average some 64 KiB beyond the least. */
const ENDS_ONE_IN = 128
/** A text id and what it is under; the longest has 512 bytes. */
export const ENTRY_KEY_BYTES_MAX = 1_024
/** A base of the most incarnations is the largest: 6 MB. */
export const ENTRY_VALUE_BYTES_MAX = 16 * 1_048_576
/** Lengths of a key and a value. */
const LENGTHS_BYTES_MAX = 8

/** Entries in, chunks out, in their order. */
export class ImageCutter {
  #parts: Uint8Array[] = []
  #bytes = 0

  /** The chunks that are complete with this entry. */
  push({ key, value }: Entry): Uint8Array[] {
    assert(key.length <= ENTRY_KEY_BYTES_MAX && value.length <= ENTRY_VALUE_BYTES_MAX, 'an entry is one of ours')
    const entry = encode((writer) => {
      writeBytes(writer, key)
      writeBytes(writer, value)
    })
    this.#parts.push(entry)
    this.#bytes += entry.length
    const chunks: Uint8Array[] = []
    if (this.#bytes > CHUNK_BYTES_MAX) {
      const whole = concatBytes(...this.#parts)
      const last = whole.length - (whole.length % CHUNK_BYTES_MAX || CHUNK_BYTES_MAX)
      for (let at = 0; at < last; at += CHUNK_BYTES_MAX) chunks.push(whole.subarray(at, at + CHUNK_BYTES_MAX))
      this.#parts = [whole.subarray(last)]
      this.#bytes = whole.length - last
    }
    if (this.#bytes === CHUNK_BYTES_MAX || (this.#bytes >= CHUNK_BYTES_MIN && isEnd(key))) chunks.push(...this.end())
    return chunks
  }

  /** What is left, at the end of a part. */
  end(): Uint8Array[] {
    const rest = concatBytes(...this.#parts)
    this.#parts = []
    this.#bytes = 0
    return rest.length === 0 ? [] : [rest]
  }
}

/** Chunks in, entries out; at the end nothing may be left. Untrusted bytes: undefined for what is no image. */
export class ImageReader {
  #parts: Uint8Array[] = []
  #bytes = 0

  push(chunk: Uint8Array): Entry[] | undefined {
    this.#parts.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes > ENTRY_VALUE_BYTES_MAX + ENTRY_KEY_BYTES_MAX + LENGTHS_BYTES_MAX + CHUNK_BYTES_MAX)
      return undefined
    let rest = concatBytes(...this.#parts)
    const entries: Entry[] = []
    for (;;) {
      const read = decode(rest, (reader) => {
        const entry = {
          key: readBytes(reader, ENTRY_KEY_BYTES_MAX),
          value: readBytes(reader, ENTRY_VALUE_BYTES_MAX),
        }
        return { entry, rest: readFixed(reader, bytesLeft(reader)) }
      })
      // Cut short, or no entry: what follows tells.
      if (!read.ok) break
      entries.push(read.value.entry)
      rest = read.value.rest
    }
    this.#parts = rest.length === 0 ? [] : [rest]
    this.#bytes = rest.length
    return entries
  }

  get isAtEnd(): boolean {
    return this.#bytes === 0
  }
}

/** FNV-1a over the end of the key, which is a hash or an id for nearly all. */
function isEnd(key: Uint8Array): boolean {
  let hash = 0x811c9dc5
  for (let at = Math.max(0, key.length - 16); at < key.length; at++) hash = Math.imul(hash ^ key[at]!, 0x01000193)
  return (hash >>> 8) % ENDS_ONE_IN === 0
}

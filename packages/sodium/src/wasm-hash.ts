import wrappers from 'libsodium-wrappers'

/** The module under the wrappers, which their types leave out. Addresses are offsets into its memory. */
interface Module {
  /** Replaced when the memory grows: read it anew after every call that may allocate. */
  readonly HEAPU8: Uint8Array
  _malloc(bytes: number): number
  _crypto_generichash(
    out: number,
    outBytes: number,
    at: number,
    bytes: number,
    high: number,
    key: number,
    keyBytes: number,
  ): number
  _crypto_generichash_statebytes(): number
  _crypto_generichash_init(state: number, key: number, keyBytes: number, outBytes: number): number
  _crypto_generichash_update(state: number, at: number, bytes: number, high: number): number
  _crypto_generichash_final(state: number, out: number, outBytes: number): number
}

export interface WasmHash {
  hash(parts: readonly Uint8Array[], bytes: number, key?: Uint8Array): Uint8Array
  hashRuns(prefix: Uint8Array, bytes: Uint8Array, ends: readonly number[]): Uint8Array
}

const HASH_BYTES = 32
const OUT_BYTES = 64
const KEY_BYTES = 64
/** Holds all but whole documents; longer input passes through in pieces. */
const INPUT_BYTES = 65_536
const RUNS_AT_ONCE = 1_024

/**
 * BLAKE2b in memory that was allocated once. The wrappers would have the caller join the parts, then allocate, copy
 * and free for each: six times the time at the sizes we hash. For short input it beats the native addon as well, where
 * crossing over costs more than the hash.
 */
export function wasmHash(): WasmHash {
  const { libsodium: module } = wrappers as unknown as { libsodium: Module }
  const state = module._malloc(module._crypto_generichash_statebytes())
  const out = module._malloc(OUT_BYTES + KEY_BYTES + INPUT_BYTES)
  const digestsAt = module._malloc(HASH_BYTES * RUNS_AT_ONCE)
  const keyAt = out + OUT_BYTES
  const input = keyAt + KEY_BYTES

  function hash(parts: readonly Uint8Array[], bytes: number, key?: Uint8Array): Uint8Array {
    let total = 0
    for (const part of parts) total += part.length
    const heap = module.HEAPU8
    const keyBytes = key?.length ?? 0
    if (key !== undefined) heap.set(key, keyAt)
    if (total <= INPUT_BYTES) {
      let at = input
      for (const part of parts) {
        heap.set(part, at)
        at += part.length
      }
      module._crypto_generichash(out, bytes, input, total, 0, keyAt, keyBytes)
    } else {
      module._crypto_generichash_init(state, keyAt, keyBytes, bytes)
      for (const part of parts)
        for (let at = 0; at < part.length; at += INPUT_BYTES) {
          const piece = part.subarray(at, at + INPUT_BYTES)
          heap.set(piece, input)
          module._crypto_generichash_update(state, input, piece.length, 0)
        }
      module._crypto_generichash_final(state, out, bytes)
    }
    const digest = heap.slice(out, out + bytes)
    // Hash keys and some inputs (a link's secret) are secrets.
    heap.fill(0, keyAt, input + Math.min(total, INPUT_BYTES))
    return digest
  }

  function hashRuns(prefix: Uint8Array, bytes: Uint8Array, ends: readonly number[]): Uint8Array {
    const runs = ends.length - 1
    const digests = new Uint8Array(HASH_BYTES * runs)
    const room = INPUT_BYTES - prefix.length
    for (let run = 0; run < runs; ) {
      const start = ends[run]!
      const first = run
      let upTo = run
      while (upTo < runs && upTo - first < RUNS_AT_ONCE && ends[upTo + 1]! - start <= room) upTo++
      if (upTo === run) {
        digests.set(hash([prefix, bytes.subarray(start, ends[run + 1])], HASH_BYTES), HASH_BYTES * run)
        run += 1
        continue
      }
      const heap = module.HEAPU8
      const base = input + prefix.length - start
      heap.set(bytes.subarray(start, ends[upTo]), input + prefix.length)
      for (; run < upTo; run++) {
        const from = base + ends[run]! - prefix.length
        // Over the end of the run before, which has been hashed.
        heap.set(prefix, from)
        const digestAt = digestsAt + HASH_BYTES * (run - first)
        module._crypto_generichash(digestAt, HASH_BYTES, from, base + ends[run + 1]! - from, 0, 0, 0)
      }
      digests.set(heap.subarray(digestsAt, digestsAt + HASH_BYTES * (run - first)), HASH_BYTES * first)
    }
    return digests
  }

  return { hash, hashRuns }
}

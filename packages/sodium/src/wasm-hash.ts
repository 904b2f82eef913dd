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

const OUT_BYTES = 64
const KEY_BYTES = 64
/** Holds all but whole documents; longer input passes through in pieces. */
const INPUT_BYTES = 65_536

/**
 * BLAKE2b of several parts, which are laid one after another into memory that was allocated once. The wrappers would
 * have the caller join the parts, then allocate, copy and free for each: six times the time at the sizes we hash.
 */
export function wasmHash(): (parts: readonly Uint8Array[], bytes: number, key?: Uint8Array) => Uint8Array {
  const { libsodium: module } = wrappers as unknown as { libsodium: Module }
  const state = module._malloc(module._crypto_generichash_statebytes())
  const out = module._malloc(OUT_BYTES + KEY_BYTES + INPUT_BYTES)
  const keyAt = out + OUT_BYTES
  const input = keyAt + KEY_BYTES

  return (parts, bytes, key) => {
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
    if (key !== undefined) heap.fill(0, keyAt, keyAt + keyBytes)
    return digest
  }
}

import { createRequire } from 'node:module'

/** `output[at + i] = source[i] ^ mask[i & 3]` for so many bytes (RFC 6455 §5.3). */
type Mask = (source: Uint8Array, mask: Uint8Array, output: Uint8Array, at: number, bytes: number) => void

/** Below this a call out of JavaScript costs more than the loop. */
const NATIVE_BYTES_MIN = 64

/** The module that ws uses too, where it could be built. */
const native = loadMask()

/** Unmasks `source` into `output` from `at` on. `mask` has four bytes, the first of which is for the first of `source`. */
export function unmaskInto(source: Uint8Array, mask: Uint8Array, output: Uint8Array, at: number): void {
  if (native === null || source.length < NATIVE_BYTES_MIN) maskSlowly(source, mask, output, at)
  else native(source, mask, output, at, source.length)
}

/** What `unmaskInto` does where nothing native is there. */
export function maskSlowly(source: Uint8Array, mask: Uint8Array, output: Uint8Array, at: number): void {
  for (let i = 0; i < source.length; i++) output[at + i] = source[i]! ^ mask[i & 3]!
}

function loadMask(): Mask | null {
  try {
    return (createRequire(import.meta.url)('bufferutil') as { mask: Mask }).mask
  } catch {
    return null
  }
}

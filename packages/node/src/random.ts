import { randomFillSync } from 'node:crypto'

/** Drawn at a time: a call costs as much for 4 KiB as for 32 bytes, and every packet asks for some. */
const POOL_BYTES = 4_096

/** Bytes that nobody can guess. What has been handed out is not here any more. */
export function openRandom(): (bytes: number) => Uint8Array {
  const pool = Buffer.alloc(POOL_BYTES)
  let at = POOL_BYTES
  return (bytes) => {
    if (bytes > POOL_BYTES) return randomFillSync(new Uint8Array(bytes))
    if (at + bytes > POOL_BYTES) {
      randomFillSync(pool)
      at = 0
    }
    const drawn = new Uint8Array(pool.subarray(at, at + bytes))
    pool.fill(0, at, (at += bytes))
    return drawn
  }
}

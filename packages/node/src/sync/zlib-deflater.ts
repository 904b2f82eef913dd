import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { Deflater } from '@sealmesh/protocol/sync/payload-form'

/** 60 to 100 MB/s, and takes facts to a half or third; higher levels take twice the time for a tenth more. */
const LEVEL = 1
/** After a payload that did not shrink, so many go as they are: what is encrypted or packed already comes in runs. */
const SKIPPED = 8

/** One for each peer: what it is sent tells what else it will be sent. In the turn, since a packet names the log of it. */
export class ZlibDeflater implements Deflater {
  #skip = 0

  deflate(bytes: Uint8Array): Uint8Array | undefined {
    if (this.#skip > 0) {
      this.#skip -= 1
      return undefined
    }
    const deflated = deflateRawSync(bytes, { level: LEVEL })
    if (deflated.length > bytes.length - (bytes.length >> 3)) this.#skip = SKIPPED
    return deflated
  }

  inflate(bytes: Uint8Array, length: number): Uint8Array | undefined {
    try {
      // One byte more than is said shows what is too long, and never is more than that made.
      const items = inflateRawSync(bytes, { maxOutputLength: length + 1, chunkSize: Math.max(64, length + 1) })
      return items.length === length ? items : undefined
    } catch {
      return undefined
    }
  }
}

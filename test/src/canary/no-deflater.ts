import type { Deflater } from '@sealmesh/protocol/sync/payload-form'

/** Compression switched off, too: without sealing it would hide words from a search as well. */
export class ZlibDeflater implements Deflater {
  deflate(): undefined {
    return undefined
  }

  inflate(): undefined {
    return undefined
  }
}

import { PAYLOAD_BYTES_TARGET } from '@sealmesh/protocol/limits'

/** Lists that fit a packet each, in order. */
export function chunk(all: readonly Uint8Array[]): Uint8Array[][] {
  const chunks: Uint8Array[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const each of all) {
    if (bytes + each.length > PAYLOAD_BYTES_TARGET) {
      chunks.push([])
      bytes = 0
    }
    chunks.at(-1)?.push(each)
    bytes += each.length
  }
  return chunks
}

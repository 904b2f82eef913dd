import { Bytes } from './varint.ts'

/** LevelDB's blocks are 4 KiB, and one with a large value as large as that; more is a damaged length. */
const UNPACKED_BYTES_MAX = 16 * 1_048_576

/** What a damaged block still gives is used up to the damage: every entry in it carries a check of ours. */
export function unpackSnappy(packed: Uint8Array): { readonly bytes: Uint8Array; readonly whole: boolean } {
  const source = new Bytes(packed)
  const length = source.varint()
  if (length === undefined || length > UNPACKED_BYTES_MAX) return { bytes: new Uint8Array(), whole: false }
  const bytes = new Uint8Array(length)
  let at = 0
  const stop = () => ({ bytes: bytes.subarray(0, at), whole: false })
  while (!source.done) {
    const tag = source.byte() ?? 0
    if ((tag & 3) === 0) {
      const short = (tag >> 2) + 1
      const run = source.run(short <= 60 ? short : littleEndian(source, short - 60) + 1)
      if (run === undefined || run.length > length - at) return stop()
      bytes.set(run, at)
      at += run.length
      continue
    }
    const one = (tag & 3) === 1
    const count = one ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1
    const back = one ? ((tag >> 5) << 8) + littleEndian(source, 1) : littleEndian(source, (tag & 3) === 2 ? 2 : 4)
    if (!(back > 0 && back <= at) || count > length - at) return stop()
    // Byte by byte: a copy may reach into itself.
    for (let i = 0; i < count; i++, at++) bytes[at] = bytes[at - back]!
  }
  return { bytes: bytes.subarray(0, at), whole: at === length }
}

/** NaN beyond the end, which no comparison lets through. */
function littleEndian(source: Bytes, length: number): number {
  let value = 0
  for (let i = 0; i < length; i++) value += (source.byte() ?? Number.NaN) * 2 ** (8 * i)
  return value
}

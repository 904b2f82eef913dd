import { CONTROL_PADDING_BYTES, PADDING_FLOOR_BYTES } from '../limits.ts'
import type { PacketKind } from './packet.ts'

/**
 * How long `bytes` become when padded: PADMÉ above a floor (docs/spec/04-packets.md §4). It keeps as many leading bits of
 * a length as its exponent has bits, so that a length says little more than its order of magnitude.
 */
export function padme(bytes: number): number {
  if (bytes <= PADDING_FLOOR_BYTES) return PADDING_FLOOR_BYTES
  const exponent = 31 - Math.clz32(bytes)
  const exponentBits = 32 - Math.clz32(exponent)
  const step = 2 ** (exponent - exponentBits)
  return Math.ceil(bytes / step) * step
}

/** How long an inside of this kind becomes: the only length that a reader takes. */
export const paddedBytes = (kind: PacketKind, bytes: number): number =>
  kind === 'control' ? Math.max(CONTROL_PADDING_BYTES, padme(bytes)) : padme(bytes)

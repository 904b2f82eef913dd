import { crc32 } from 'node:zlib'
import { Failure } from '@sealmesh/protocol/errors'
import { describeKey } from './keys.ts'

/**
 * LevelDB reads most flipped bits back in silence (102 of 120, DESIGN.md §7), so every value carries the CRC-32 of its
 * key and itself, which no flipped bit and no burst of 32 escapes. Over the key too: a value at a wrong place is damage
 * as well. It is there against accidents; what somebody might want to change is signed. A commit of one write has four
 * values, a start reads thousands: a cryptographic hash, at 7 us each, was a seventh of the first's work.
 */
const CHECK_BYTES = 4

export function withCheck(key: Uint8Array, value: Uint8Array): Uint8Array {
  const checked = new Uint8Array(value.length + CHECK_BYTES)
  checked.set(value)
  new DataView(checked.buffer).setUint32(value.length, checkOf(key, value))
  return checked
}

/** The value without its check. Throws STORE_DAMAGED that names the entry. */
export function fromChecked(key: Uint8Array, checked: Uint8Array): Uint8Array {
  const value = valueOf(key, checked)
  if (value === undefined) throw new Failure('STORE_DAMAGED', `Stored bytes have changed: ${describeKey(key)}.`)
  return value
}

/** The value without its check; undefined when it is not the one that was written under this key. */
export function valueOf(key: Uint8Array, checked: Uint8Array): Uint8Array | undefined {
  const value = uncheckedValue(checked)
  if (checked.length < CHECK_BYTES) return undefined
  const check = new DataView(checked.buffer, checked.byteOffset + value.length).getUint32(0)
  return check === checkOf(key, value) ? value : undefined
}

/** What may be left of a value whose check does not match. Nothing vouches for it. */
export const uncheckedValue = (checked: Uint8Array): Uint8Array =>
  checked.subarray(0, Math.max(0, checked.length - CHECK_BYTES))

/** Of an array without bytes zlib forgets the rest if it has no memory either. */
const checkOf = (key: Uint8Array, value: Uint8Array): number =>
  value.length === 0 ? crc32(key) : crc32(value, crc32(key))

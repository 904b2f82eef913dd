import { createHash } from 'node:crypto'
import { Failure } from '@sealmesh/protocol/errors'
import { describeKey } from './keys.ts'

/**
 * LevelDB reads most flipped bits back in silence (102 of 120, DESIGN.md §7), so every value carries the first 8
 * bytes of BLAKE2b over its key and itself. Over the key too: a value at a wrong place is damage as well.
 */
const CHECK_BYTES = 8

export function withCheck(key: Uint8Array, value: Uint8Array): Uint8Array {
  const checked = new Uint8Array(value.length + CHECK_BYTES)
  checked.set(value)
  checked.set(checkOf(key, value), value.length)
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
  if (checked.length < CHECK_BYTES || checkOf(key, value).compare(checked, value.length) !== 0) return undefined
  return value
}

/** What may be left of a value whose check does not match. Nothing vouches for it. */
export const uncheckedValue = (checked: Uint8Array): Uint8Array =>
  checked.subarray(0, Math.max(0, checked.length - CHECK_BYTES))

const checkOf = (key: Uint8Array, value: Uint8Array): Buffer =>
  createHash('blake2b512').update(key).update(value).digest().subarray(0, CHECK_BYTES)

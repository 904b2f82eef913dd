import { CONTENT_KEY_BYTES, NONCE_BYTES, SEED_BYTES } from '@sealmesh/protocol/keys'
import { assert } from '@sealmesh/protocol/result'

/**
 * Lengths that our own code chooses: a wrong one is a broken invariant. Lengths that a stranger chooses (signatures,
 * boxes, ciphertexts, public keys) are never asserted: they make the answer `false` or `undefined`.
 */
export const SIGN_SECRET_KEY_BYTES = 64
export const BOX_SECRET_KEY_BYTES = 32
export const BOX_NONCE_BYTES = 24
const HASH_BYTES_MIN = 16
const HASH_BYTES_MAX = 64
const HASH_KEY_BYTES_MIN = 16
const HASH_KEY_BYTES_MAX = 64

export const assertSeed = (seed: Uint8Array): void => assert(seed.length === SEED_BYTES, 'a seed has 32 bytes')

export const assertSecret = (secret: Uint8Array, bytes: number): void =>
  assert(secret.length === bytes, `this secret key has ${bytes} bytes`)

export function assertHash(bytes: number, key: Uint8Array | undefined): void {
  assert(bytes >= HASH_BYTES_MIN && bytes <= HASH_BYTES_MAX, 'a hash has 16 to 64 bytes')
  const keyBytes = key?.length ?? HASH_KEY_BYTES_MIN
  assert(keyBytes >= HASH_KEY_BYTES_MIN && keyBytes <= HASH_KEY_BYTES_MAX, 'a hash key has 16 to 64 bytes')
}

export function assertEncrypt(nonce: Uint8Array, key: Uint8Array): void {
  assert(nonce.length === NONCE_BYTES, 'a nonce has 24 bytes')
  assert(key.length === CONTENT_KEY_BYTES, 'a content key has 32 bytes')
}

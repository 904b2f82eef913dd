import type { KeyPair, SealPublicKey, Secret, SecretRole, Signature, SignPublicKey } from './keys.ts'

/**
 * The cryptography that the protocol is handed. Two implementations give the same bytes (`@sealmesh/sodium`, one
 * contract suite). None of the functions draws randomness: seeds and nonces are arguments, so that a simulator can
 * choose them. None throws on hostile input: wrong lengths and bad points are `false` or `undefined`.
 */
export interface Sodium {
  readonly implementation: 'wasm' | 'native'

  /** BLAKE2b of the parts one after another; 32 bytes unless told, keyed when `key` is given. */
  hash(parts: readonly Uint8Array[], bytes?: number, key?: Uint8Array): Uint8Array

  /**
   * The 32-byte hashes of consecutive runs of `bytes`, each behind `prefix`, one after another in one array. Run i lies
   * between ends[i] and ends[i + 1]. Hashing short runs one by one costs three times as much.
   */
  hashRuns(prefix: Uint8Array, bytes: Uint8Array, ends: readonly number[]): Uint8Array

  /** Ed25519. The secret key is the 64-byte form (seed and public key). */
  signKeys<Role extends SecretRole>(role: Role, seed: Uint8Array): KeyPair<SignPublicKey, Role>
  sign(message: Uint8Array, secretKey: Secret<SecretRole>): Signature
  verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean

  /** X25519. */
  sealKeys(seed: Uint8Array): KeyPair<SealPublicKey, 'seal'>
  /**
   * The bytes of `crypto_box_seal`, with the ephemeral key made from `ephemeralSeed` (32 random bytes, used once).
   * Undefined for a recipient's key that is no good: a member chose it, so it is hostile input too.
   */
  sealBox(message: Uint8Array, recipient: SealPublicKey, ephemeralSeed: Uint8Array): Uint8Array | undefined
  openBox(box: Uint8Array, keys: KeyPair<SealPublicKey, 'seal'>): Uint8Array | undefined

  /** XChaCha20-Poly1305-IETF; the nonce is 24 random bytes. */
  encrypt(plain: Uint8Array, associated: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array
  decrypt(cipher: Uint8Array, associated: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array | undefined
}

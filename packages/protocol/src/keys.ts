import type { Brand } from './ids.ts'

/** Public keys, by what they may be used for: a login key cannot be passed where a signing key is meant. */
export type SignPublicKey = Brand<Uint8Array, 'SignPublicKey'>
export type LoginPublicKey = Brand<Uint8Array, 'LoginPublicKey'>
export type SealPublicKey = Brand<Uint8Array, 'SealPublicKey'>
export type Signature = Brand<Uint8Array, 'Signature'>

export const SIGN_PUBLIC_KEY_BYTES = 32
export const SEAL_PUBLIC_KEY_BYTES = 32
export const SIGNATURE_BYTES = 64
export const SEED_BYTES = 32
export const HASH_BYTES = 32
export const CONTENT_KEY_BYTES = 32
export const NONCE_BYTES = 24
/** What a sealed box adds: the ephemeral public key and the tag. */
export const SEALED_BOX_EXTRA_BYTES = 48
/** What XChaCha20-Poly1305 adds. */
export const AEAD_TAG_BYTES = 16

export type SecretRole = 'sign' | 'login' | 'seal' | 'root' | 'agent' | 'content' | 'pairing'

/**
 * Secret bytes that cannot be printed by accident: JSON, template strings and inspection all show `[redacted]`.
 * `expose()` is the one way to the bytes, and a word to search for in review.
 */
export class Secret<Role extends SecretRole> {
  readonly role: Role
  readonly #bytes: Uint8Array

  constructor(role: Role, bytes: Uint8Array) {
    this.role = role
    this.#bytes = bytes
  }

  expose(): Uint8Array {
    return this.#bytes
  }

  /** Overwrites the bytes; the secret is useless afterwards. */
  erase(): void {
    this.#bytes.fill(0)
  }

  toString(): string {
    return '[redacted]'
  }

  toJSON(): string {
    return '[redacted]'
  }

  // What Node's console and assertion messages ask for.
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[redacted]'
  }
}

export interface KeyPair<Public, Role extends SecretRole> {
  readonly publicKey: Public
  readonly secretKey: Secret<Role>
}

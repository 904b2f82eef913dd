import { createRequire } from 'node:module'
import {
  AEAD_TAG_BYTES,
  CONTENT_KEY_BYTES,
  HASH_BYTES,
  NONCE_BYTES,
  SEAL_PUBLIC_KEY_BYTES,
  SEALED_BOX_EXTRA_BYTES,
  type SealPublicKey,
  Secret,
  SIGN_PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES,
  type Signature,
  type SignPublicKey,
} from '@sealmesh/protocol/keys'
import { err, ok, type Result } from '@sealmesh/protocol/result'
import type { Sodium } from '@sealmesh/protocol/sodium'
import wrappers from 'libsodium-wrappers'
import {
  assertEncrypt,
  assertHash,
  assertSecret,
  assertSeed,
  BOX_NONCE_BYTES,
  BOX_SECRET_KEY_BYTES,
  SIGN_SECRET_KEY_BYTES,
} from './lengths.ts'
import { type WasmHash, wasmHash } from './wasm-hash.ts'

/** What is used of sodium-native, which ships no types. Its functions throw on wrong lengths and on refusals. */
interface SodiumNative {
  crypto_generichash_batch(output: Uint8Array, parts: readonly Uint8Array[], key?: Uint8Array): void
  crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void
  crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
  crypto_box_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void
  crypto_scalarmult_base(publicKey: Uint8Array, secretKey: Uint8Array): void
  crypto_box_easy(c: Uint8Array, m: Uint8Array, nonce: Uint8Array, publicKey: Uint8Array, secretKey: Uint8Array): void
  crypto_box_seal_open(m: Uint8Array, c: Uint8Array, publicKey: Uint8Array, secretKey: Uint8Array): boolean
  crypto_aead_xchacha20poly1305_ietf_encrypt(
    c: Uint8Array,
    m: Uint8Array,
    associated: Uint8Array,
    none: null,
    nonce: Uint8Array,
    key: Uint8Array,
  ): number
  crypto_aead_xchacha20poly1305_ietf_decrypt(
    m: Uint8Array,
    none: null,
    c: Uint8Array,
    associated: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
  ): number
}

/** The addon, or what stopped it: it is an optional dependency, and has no build for every machine. */
export async function loadNative(): Promise<Result<Sodium, unknown>> {
  try {
    const library = createRequire(import.meta.url)('sodium-native') as SodiumNative
    await wrappers.ready
    return ok(nativeSodium(library, wasmHash()))
  } catch (cause) {
    return err(cause)
  }
}

/** Crossing into the addon costs as much as hashing a kilobyte in WebAssembly. */
const SHORT_BYTES = 1_024

function nativeSodium(library: SodiumNative, short: WasmHash): Sodium {
  function hash(parts: readonly Uint8Array[], bytes: number = HASH_BYTES, key?: Uint8Array): Uint8Array {
    assertHash(bytes, key)
    let length = 0
    for (const part of parts) length += part.length
    if (length <= SHORT_BYTES) return short.hash(parts, bytes, key)
    const digest = new Uint8Array(bytes)
    library.crypto_generichash_batch(digest, parts, key)
    return digest
  }

  return {
    implementation: 'native',
    hash,
    hashRuns: (prefix, bytes, ends) => short.hashRuns(prefix, bytes, ends),

    signKeys(role, seed) {
      assertSeed(seed)
      const publicKey = new Uint8Array(SIGN_PUBLIC_KEY_BYTES)
      const secretKey = new Uint8Array(SIGN_SECRET_KEY_BYTES)
      library.crypto_sign_seed_keypair(publicKey, secretKey, seed)
      return { publicKey: publicKey as SignPublicKey, secretKey: new Secret(role, secretKey) }
    },

    sign(message, secretKey) {
      const secret = secretKey.expose()
      assertSecret(secret, SIGN_SECRET_KEY_BYTES)
      const signature = new Uint8Array(SIGNATURE_BYTES)
      library.crypto_sign_detached(signature, message, secret)
      return signature as Signature
    },

    verify(signature, message, publicKey) {
      // sodium-native reads the first 64 bytes of a longer signature and accepts it.
      if (signature.length !== SIGNATURE_BYTES || publicKey.length !== SIGN_PUBLIC_KEY_BYTES) return false
      return library.crypto_sign_verify_detached(signature, message, publicKey)
    },

    sealKeys(seed) {
      assertSeed(seed)
      const publicKey = new Uint8Array(SEAL_PUBLIC_KEY_BYTES)
      const secretKey = new Uint8Array(BOX_SECRET_KEY_BYTES)
      library.crypto_box_seed_keypair(publicKey, secretKey, seed)
      return { publicKey: publicKey as SealPublicKey, secretKey: new Secret('seal', secretKey) }
    },

    sealBox(message, recipient, ephemeralSeed) {
      assertSeed(ephemeralSeed)
      if (recipient.length !== SEAL_PUBLIC_KEY_BYTES) return undefined
      const box = new Uint8Array(message.length + SEALED_BOX_EXTRA_BYTES)
      const ephemeral = box.subarray(0, SEAL_PUBLIC_KEY_BYTES)
      library.crypto_scalarmult_base(ephemeral, ephemeralSeed)
      const nonce = hash([ephemeral, recipient], BOX_NONCE_BYTES)
      try {
        library.crypto_box_easy(box.subarray(SEAL_PUBLIC_KEY_BYTES), message, nonce, recipient, ephemeralSeed)
        return box
      } catch {
        return undefined // A point of low order.
      }
    },

    openBox(box, keys) {
      const secret = keys.secretKey.expose()
      assertSecret(secret, BOX_SECRET_KEY_BYTES)
      if (box.length < SEALED_BOX_EXTRA_BYTES || keys.publicKey.length !== SEAL_PUBLIC_KEY_BYTES) return undefined
      const message = new Uint8Array(box.length - SEALED_BOX_EXTRA_BYTES)
      return library.crypto_box_seal_open(message, box, keys.publicKey, secret) ? message : undefined
    },

    encrypt(plain, associated, nonce, key) {
      assertEncrypt(nonce, key)
      const cipher = new Uint8Array(plain.length + AEAD_TAG_BYTES)
      library.crypto_aead_xchacha20poly1305_ietf_encrypt(cipher, plain, associated, null, nonce, key)
      return cipher
    },

    decrypt(cipher, associated, nonce, key) {
      if (cipher.length < AEAD_TAG_BYTES || nonce.length !== NONCE_BYTES || key.length !== CONTENT_KEY_BYTES)
        return undefined
      const plain = new Uint8Array(cipher.length - AEAD_TAG_BYTES)
      try {
        library.crypto_aead_xchacha20poly1305_ietf_decrypt(plain, null, cipher, associated, nonce, key)
        return plain
      } catch {
        return undefined
      }
    },
  }
}

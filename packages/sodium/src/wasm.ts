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
import type { Sodium } from '@sealmesh/protocol/sodium'
// The functions hang on the default export only, whatever its types say.
import library from 'libsodium-wrappers'
import {
  assertEncrypt,
  assertHash,
  assertSecret,
  assertSeed,
  BOX_NONCE_BYTES,
  BOX_SECRET_KEY_BYTES,
  SIGN_SECRET_KEY_BYTES,
} from './lengths.ts'
import { wasmHash } from './wasm-hash.ts'

let loaded: Promise<Sodium> | undefined

/** Compiles the module once per process. */
export function loadWasm(): Promise<Sodium> {
  loaded ??= library.ready.then(wasmSodium)
  return loaded
}

function wasmSodium(): Sodium {
  const digest = wasmHash()

  function hash(parts: readonly Uint8Array[], bytes: number = HASH_BYTES, key?: Uint8Array): Uint8Array {
    assertHash(bytes, key)
    return digest.hash(parts, bytes, key)
  }

  return {
    implementation: 'wasm',
    hash,
    hashRuns: (prefix, bytes, ends) => digest.hashRuns(prefix, bytes, ends),

    signKeys(role, seed) {
      assertSeed(seed)
      const { publicKey, privateKey } = library.crypto_sign_seed_keypair(seed)
      return { publicKey: publicKey as SignPublicKey, secretKey: new Secret(role, privateKey) }
    },

    sign(message, secretKey) {
      const secret = secretKey.expose()
      assertSecret(secret, SIGN_SECRET_KEY_BYTES)
      return library.crypto_sign_detached(message, secret) as Signature
    },

    verify(signature, message, publicKey) {
      if (signature.length !== SIGNATURE_BYTES || publicKey.length !== SIGN_PUBLIC_KEY_BYTES) return false
      return library.crypto_sign_verify_detached(signature, message, publicKey)
    },

    sealKeys(seed) {
      assertSeed(seed)
      const { publicKey, privateKey } = library.crypto_box_seed_keypair(seed)
      return { publicKey: publicKey as SealPublicKey, secretKey: new Secret('seal', privateKey) }
    },

    sealBox(message, recipient, ephemeralSeed) {
      assertSeed(ephemeralSeed)
      if (recipient.length !== SEAL_PUBLIC_KEY_BYTES) return undefined
      const ephemeral = library.crypto_scalarmult_base(ephemeralSeed)
      const nonce = hash([ephemeral, recipient], BOX_NONCE_BYTES)
      try {
        const cipher = library.crypto_box_easy(message, nonce, recipient, ephemeralSeed)
        const box = new Uint8Array(SEAL_PUBLIC_KEY_BYTES + cipher.length)
        box.set(ephemeral)
        box.set(cipher, SEAL_PUBLIC_KEY_BYTES)
        return box
      } catch {
        return undefined // A point of low order.
      }
    },

    openBox(box, keys) {
      const secret = keys.secretKey.expose()
      assertSecret(secret, BOX_SECRET_KEY_BYTES)
      if (box.length < SEALED_BOX_EXTRA_BYTES || keys.publicKey.length !== SEAL_PUBLIC_KEY_BYTES) return undefined
      try {
        return library.crypto_box_seal_open(box, keys.publicKey, secret)
      } catch {
        return undefined
      }
    },

    encrypt(plain, associated, nonce, key) {
      assertEncrypt(nonce, key)
      return library.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, associated, null, nonce, key)
    },

    decrypt(cipher, associated, nonce, key) {
      if (cipher.length < AEAD_TAG_BYTES || nonce.length !== NONCE_BYTES || key.length !== CONTENT_KEY_BYTES)
        return undefined
      try {
        return library.crypto_aead_xchacha20poly1305_ietf_decrypt(null, cipher, associated, nonce, key)
      } catch {
        return undefined
      }
    },
  }
}

import {
  AEAD_TAG_BYTES,
  SEAL_PUBLIC_KEY_BYTES,
  SEALED_BOX_EXTRA_BYTES,
  type SealPublicKey,
  Secret,
  SIGNATURE_BYTES,
  type Signature,
  type SignPublicKey,
} from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'

const BOX_KEY_BYTES = 32

/**
 * Takes the place of signatures and encryption where nobody attacks them: a hundred times as fast, with the lengths of
 * the real ones. Hashes stay real, so that ids and digests are those of any other run. What was changed on its way, or is
 * for somebody else, is found; what somebody forges is not, since here a public key is enough to sign.
 */
export function fastCryptoDouble(real: Sodium): Sodium {
  return {
    implementation: real.implementation,
    hash: real.hash,
    hashRuns: real.hashRuns,

    signKeys(role, seed) {
      const publicKey = real.hash([SIGN_LABEL, seed]) as SignPublicKey
      const secretKey = new Uint8Array(64)
      secretKey.set(seed)
      secretKey.set(publicKey, seed.length)
      return { publicKey, secretKey: new Secret(role, secretKey) }
    },

    sign(message, secretKey) {
      return mac(secretKey.expose().subarray(32), [message], SIGNATURE_BYTES) as Signature
    },

    verify(signature, message, publicKey) {
      return publicKey.length === 32 && isSame(signature, mac(publicKey, [message], SIGNATURE_BYTES))
    },

    sealKeys(seed) {
      const publicKey = real.hash([SEAL_LABEL, seed]) as SealPublicKey
      return { publicKey, secretKey: new Secret('seal', Uint8Array.from(seed)) }
    },

    sealBox(message, recipient, ephemeralSeed) {
      if (recipient.length !== SEAL_PUBLIC_KEY_BYTES) return undefined
      const box = new Uint8Array(message.length + SEALED_BOX_EXTRA_BYTES)
      const ephemeral = real.hash([SEAL_LABEL, ephemeralSeed])
      const key = mac(recipient, [ephemeral], BOX_KEY_BYTES)
      box.set(ephemeral)
      box.set(mac(key, [message], AEAD_TAG_BYTES), SEAL_PUBLIC_KEY_BYTES)
      mask(box.subarray(SEALED_BOX_EXTRA_BYTES), message, key)
      return box
    },

    openBox(box, { publicKey }) {
      if (box.length < SEALED_BOX_EXTRA_BYTES) return undefined
      const key = mac(publicKey, [box.subarray(0, SEAL_PUBLIC_KEY_BYTES)], BOX_KEY_BYTES)
      const message = new Uint8Array(box.length - SEALED_BOX_EXTRA_BYTES)
      mask(message, box.subarray(SEALED_BOX_EXTRA_BYTES), key)
      const tag = box.subarray(SEAL_PUBLIC_KEY_BYTES, SEALED_BOX_EXTRA_BYTES)
      return isSame(tag, mac(key, [message], AEAD_TAG_BYTES)) ? message : undefined
    },

    encrypt(plain, associated, nonce, key) {
      const cipher = new Uint8Array(plain.length + AEAD_TAG_BYTES)
      mask(cipher, plain, mac(key, [nonce], BOX_KEY_BYTES))
      const body = cipher.subarray(0, plain.length)
      cipher.set(mac(key, [nonce, associated, body], AEAD_TAG_BYTES), plain.length)
      return cipher
    },

    decrypt(cipher, associated, nonce, key) {
      const at = cipher.length - AEAD_TAG_BYTES
      if (at < 0) return undefined
      const body = cipher.subarray(0, at)
      if (!isSame(cipher.subarray(at), mac(key, [nonce, associated, body], AEAD_TAG_BYTES))) return undefined
      const plain = new Uint8Array(at)
      mask(plain, body, mac(key, [nonce], BOX_KEY_BYTES))
      return plain
    },
  }
}

const SIGN_LABEL = new TextEncoder().encode('double sign key')
const SEAL_LABEL = new TextEncoder().encode('double seal key')

/** Enough that no plaintext is found in what it hides. */
function mask(into: Uint8Array, from: Uint8Array, key: Uint8Array): void {
  into.set(from)
  const inWords = into.byteOffset % 4 === 0 ? from.length >> 2 : 0
  const words = new Uint32Array(into.buffer, into.byteOffset - (into.byteOffset % 4), inWords)
  const keyWords = new Uint32Array(key.slice().buffer)
  for (let at = 0; at < inWords; at++) words[at]! ^= keyWords[at & 7]!
  for (let at = inWords * 4; at < from.length; at++) into[at]! ^= key[at & 31]!
}

/** Shows a change, and another key; a hash that withstands somebody costs more than all the rest of sealing a packet. */
function mac(key: Uint8Array, parts: readonly Uint8Array[], bytes: number): Uint8Array {
  let [a, b] = [bytes, 0x9e3779b9]
  const mix = (part: Uint8Array) => {
    for (let at = 0; at < part.length; at++) {
      a = Math.imul(a ^ part[at]!, 0x01000193)
      b = ((b << 5) ^ (b >>> 27) ^ a) | 0
    }
    a ^= part.length
  }
  mix(key)
  for (const part of parts) mix(part)
  const words = new Uint32Array(bytes >> 2)
  for (let at = 0; at < words.length; at++) {
    a = Math.imul(a ^ (b >>> 15) ^ at, 0x85ebca6b)
    b = Math.imul(b ^ (a >>> 13), 0xc2b2ae35)
    words[at] = a ^ b
  }
  return new Uint8Array(words.buffer)
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && Buffer.compare(a, b) === 0

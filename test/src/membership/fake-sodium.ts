import { createHash } from 'node:crypto'
import { type KeyPair, Secret, type SecretRole, type Signature, type SignPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return new Uint8Array(hash.digest())
}

const word = (text: string): Uint8Array => new TextEncoder().encode(text)

/**
 * NOT cryptography: anyone who knows a public key can sign for it. Deterministic and some fifty times faster than the
 * real thing, for properties over thousands of generated logs. It counts its verifications.
 */
export class FakeSodium implements Sodium {
  readonly implementation = 'wasm'
  verifications = 0

  hash(parts: readonly Uint8Array[], bytes = 32, key: Uint8Array = new Uint8Array()): Uint8Array {
    return sha256(word('hash'), Uint8Array.of(bytes), key, ...parts).slice(0, bytes)
  }

  hashRuns(prefix: Uint8Array, bytes: Uint8Array, ends: readonly number[]): Uint8Array {
    const runs = ends.slice(1).map((end, i) => this.hash([prefix, bytes.subarray(ends[i], end)]))
    return new Uint8Array(Buffer.concat(runs))
  }

  signKeys<Role extends SecretRole>(role: Role, seed: Uint8Array): KeyPair<SignPublicKey, Role> {
    const publicKey = sha256(word('public'), seed) as SignPublicKey
    return { publicKey, secretKey: new Secret(role, new Uint8Array([...seed, ...publicKey])) }
  }

  sign(message: Uint8Array, secretKey: Secret<SecretRole>): Signature {
    return this.#signature(message, secretKey.expose().subarray(32))
  }

  verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
    this.verifications += 1
    return Buffer.compare(signature, this.#signature(message, publicKey)) === 0
  }

  #signature(message: Uint8Array, publicKey: Uint8Array): Signature {
    return new Uint8Array([
      ...sha256(word('a'), publicKey, message),
      ...sha256(word('b'), publicKey, message),
    ]) as Signature
  }

  sealKeys(): never {
    throw new Error('the membership log seals nothing')
  }
  sealBox(_message: Uint8Array): Uint8Array | undefined {
    throw new Error('the membership log seals nothing')
  }
  openBox(): never {
    throw new Error('the membership log opens nothing')
  }
  encrypt(_plain: Uint8Array): Uint8Array {
    throw new Error('the membership log encrypts nothing')
  }
  decrypt(): never {
    throw new Error('the membership log decrypts nothing')
  }
}

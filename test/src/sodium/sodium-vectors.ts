import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import type { SealPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { seededRandom } from '../envelope/scene.ts'
import { LOW_ORDER_POINTS, PUBLISHED } from './published-vectors.ts'

/** test/vectors/sodium.json: everything in hexadecimal, for any language that reads JSON. */
export interface SodiumVectors {
  readonly about: string
  readonly published: typeof PUBLISHED
  readonly lowOrderPoints: readonly string[]
  readonly hashes: readonly { parts: readonly string[]; bytes: number; key: string; hash: string }[]
  readonly signatures: readonly { seed: string; publicKey: string; message: string; signature: string }[]
  readonly boxes: readonly {
    recipientSeed: string
    recipient: string
    ephemeralSeed: string
    message: string
    box: string
  }[]
  readonly aead: readonly { key: string; nonce: string; associated: string; plain: string; cipher: string }[]
}

export function buildVectors(sodium: Sodium): SodiumVectors {
  const random = seededRandom('sodium vectors')
  const lengths = [0, 1, 16, 31, 32, 64, 200, 1_000]
  return {
    about: 'The cryptographic interface: docs/spec/01-bytes.md §4. All bytes are hexadecimal.',
    published: PUBLISHED,
    lowOrderPoints: LOW_ORDER_POINTS,
    hashes: lengths.map((length, at) => {
      const parts = [random(length), random(at), random(0)]
      const key = at % 2 === 0 ? undefined : random(32)
      const bytes = [16, 24, 32, 64][at % 4] ?? 32
      return {
        parts: parts.map(toHex),
        bytes,
        key: toHex(key ?? new Uint8Array()),
        hash: toHex(sodium.hash(parts, bytes, key)),
      }
    }),
    signatures: lengths.map((length) => {
      const [seed, message] = [random(32), random(length)]
      const keys = sodium.signKeys('sign', seed)
      return {
        seed: toHex(seed),
        publicKey: toHex(keys.publicKey),
        message: toHex(message),
        signature: toHex(sodium.sign(message, keys.secretKey)),
      }
    }),
    boxes: lengths.map((length) => {
      const [recipientSeed, ephemeralSeed, message] = [random(32), random(32), random(length)]
      const { publicKey } = sodium.sealKeys(recipientSeed)
      return {
        recipientSeed: toHex(recipientSeed),
        recipient: toHex(publicKey),
        ephemeralSeed: toHex(ephemeralSeed),
        message: toHex(message),
        box: toHex(sodium.sealBox(message, publicKey, ephemeralSeed) ?? new Uint8Array()),
      }
    }),
    aead: lengths.map((length, at) => {
      const [key, nonce, associated, plain] = [random(32), random(24), random(at * 8), random(length)]
      const cipher = sodium.encrypt(plain, associated, nonce, key)
      return {
        key: toHex(key),
        nonce: toHex(nonce),
        associated: toHex(associated),
        plain: toHex(plain),
        cipher: toHex(cipher),
      }
    }),
  }
}

export const point = (hex: string): SealPublicKey => fromHex(hex) as SealPublicKey

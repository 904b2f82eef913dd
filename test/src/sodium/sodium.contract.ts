import { createPrivateKey, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { type SealPublicKey, Secret, type Signature } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { seededRandom } from '../envelope/scene.ts'
import { LOW_ORDER_POINTS, PUBLISHED } from './published-vectors.ts'
import { buildVectors, point, type SodiumVectors } from './sodium-vectors.ts'

const vectors = JSON.parse(readFileSync(new URL('../../vectors/sodium.json', import.meta.url), 'utf8')) as SodiumVectors

/** What every implementation of `Sodium` must do; the bytes are those of test/vectors/sodium.json. */
export function sodiumContract(sodium: Sodium): void {
  describe(`the ${sodium.implementation} implementation`, () => {
    const random = seededRandom('sodium contract')
    const bytes = fc.uint8Array({ maxLength: 300 })

    test('gives the bytes of the golden vectors', () => {
      expect(buildVectors(sodium)).toEqual(vectors)
    })

    test.each(PUBLISHED.blake2b)('hashes as $name', ({ input, key, hash }) => {
      expect(toHex(sodium.hash([fromHex(input)], 64, key === '' ? undefined : fromHex(key)))).toBe(hash)
    })

    test.each(PUBLISHED.ed25519)('signs and verifies as $name', ({ seed, publicKey, message, signature }) => {
      const keys = sodium.signKeys('sign', fromHex(seed))
      expect(toHex(keys.publicKey)).toBe(publicKey)
      expect(toHex(sodium.sign(fromHex(message), keys.secretKey))).toBe(signature)
      expect(sodium.verify(fromHex(signature), fromHex(message), fromHex(publicKey))).toBe(true)
    })

    test.each(PUBLISHED.xchacha20poly1305)('encrypts as $name', ({ key, nonce, associated, plain, cipher }) => {
      const [k, n, a] = [fromHex(key), fromHex(nonce), fromHex(associated)]
      expect(toHex(sodium.encrypt(fromHex(plain), a, n, k))).toBe(cipher)
      expect(toHex(sodium.decrypt(fromHex(cipher), a, n, k) ?? new Uint8Array())).toBe(plain)
    })

    test('a hash of parts is the hash of the parts joined, at every size that is handled apart', () => {
      for (const size of [0, 1, 127, 128, 129, 65_535, 65_536, 65_537, 200_000]) {
        const whole = random(size)
        for (const cut of [0, 1, size >> 1, size]) {
          const parts = [whole.subarray(0, cut), whole.subarray(cut)]
          expect(sodium.hash(parts)).toEqual(sodium.hash([whole]))
          const key = random(32)
          expect(sodium.hash(parts, 24, key)).toEqual(sodium.hash([whole], 24, key))
        }
      }
      expect(sodium.hash([])).toEqual(sodium.hash([new Uint8Array()]))
    })

    test('hashes of runs are those of each run behind its prefix, at every size that is handled apart', () => {
      const prefix = random(21)
      for (const lengths of [[0], [0, 0, 5], [1, 200, 3], [65_515, 1], [65_514], [70_000, 1, 65_000, 600], [200_000]]) {
        const ends = [7]
        for (const length of lengths) ends.push(ends.at(-1)! + length)
        const bytes = random(ends.at(-1)! + 3)
        const apart = lengths.map((length, i) => sodium.hash([prefix, bytes.subarray(ends[i], ends[i]! + length)]))
        expect(sodium.hashRuns(prefix, bytes, ends)).toEqual(new Uint8Array(Buffer.concat(apart)))
      }
      expect(sodium.hashRuns(prefix, random(3), [1])).toEqual(new Uint8Array())
    })

    test('a hash that was returned does not change with the next', () => {
      const first = sodium.hash([random(10)])
      const copy = first.slice()
      sodium.hash([random(10)])
      expect(first).toEqual(copy)
    })

    test('takes views of larger buffers, and returns plain arrays', () => {
      const pool = Buffer.from(random(400))
      const [message, seed] = [pool.subarray(100, 200), pool.subarray(300, 332)]
      const keys = sodium.signKeys('sign', seed)
      const plain = new Uint8Array(message)
      expect(sodium.sign(message, keys.secretKey)).toEqual(sodium.sign(plain, keys.secretKey))
      expect(sodium.hash([message])).toEqual(sodium.hash([plain]))
      for (const result of [sodium.hash([message]), sodium.sign(message, keys.secretKey), keys.publicKey])
        expect(Object.getPrototypeOf(result)).toBe(Uint8Array.prototype)
    })

    describe('signatures', () => {
      const keys = sodium.signKeys('sign', random(32))
      const message = random(50)
      const good = sodium.sign(message, keys.secretKey)

      test('are exactly 64 bytes: a longer one is not a signature with something behind it', () => {
        expect(sodium.verify(good, message, keys.publicKey)).toBe(true)
        expect(sodium.verify(new Uint8Array([...good, 0]), message, keys.publicKey)).toBe(false)
        expect(sodium.verify(good.subarray(0, 63), message, keys.publicKey)).toBe(false)
        expect(sodium.verify(new Uint8Array(), message, keys.publicKey)).toBe(false)
      })

      test('T-peer-14: have one form: the scalar plus the group order is refused', () => {
        expect(sodium.verify(plusOrder(good), message, keys.publicKey)).toBe(false)
      })

      test('T-peer-14: do not verify under keys or commitments of low order', () => {
        for (const hex of ED25519_LOW_ORDER) {
          const low = fromHex(hex)
          expect(sodium.verify(new Uint8Array([...low, ...new Uint8Array(32)]), message, low)).toBe(false)
          expect(sodium.verify(new Uint8Array([...low, ...good.subarray(32)]), message, keys.publicKey)).toBe(false)
        }
      })

      test('with any one bit flipped do not verify', () => {
        for (let bit = 0; bit < 512; bit++) expect(sodium.verify(flip(good, bit), message, keys.publicKey)).toBe(false)
      })

      test('and keys of any bytes and lengths are false, never thrown', () => {
        fc.assert(
          fc.property(bytes, bytes, bytes, (signature, text, key) => {
            expect(sodium.verify(signature, text, key)).toBe(false)
          }),
        )
        fc.assert(
          fc.property(exactly(64), bytes, exactly(32), (signature, text, key) => {
            expect(sodium.verify(signature, text, key)).toBe(false)
          }),
        )
      })
    })

    describe('sealed boxes', () => {
      const keys = sodium.sealKeys(random(32))

      test('begin with the public half of the ephemeral key, as another library computes it', () => {
        const seed = random(32)
        const box = sodium.sealBox(random(32), keys.publicKey, seed)
        expect(toHex(box?.subarray(0, 32) ?? new Uint8Array())).toBe(toHex(x25519Base(seed)))
      })

      test('open to what went in, and to nobody else', () => {
        fc.assert(
          fc.property(bytes, exactly(32), (message, seed) => {
            const box = sodium.sealBox(message, keys.publicKey, seed)
            if (box === undefined) throw new Error('not sealed')
            expect(box.length).toBe(message.length + 48)
            expect(sodium.openBox(box, keys)).toEqual(message)
            expect(sodium.openBox(box, sodium.sealKeys(seed))).toBeUndefined()
          }),
          { numRuns: 30 },
        )
      })

      test('are refused for points of low order and keys of another length', () => {
        for (const hex of LOW_ORDER_POINTS) expect(sodium.sealBox(random(32), point(hex), random(32))).toBeUndefined()
        for (const length of [0, 31, 33])
          expect(sodium.sealBox(random(32), random(length) as SealPublicKey, random(32))).toBeUndefined()
      })

      test('T-peer-14: from ephemeral points of low order do not open', () => {
        for (const hex of LOW_ORDER_POINTS)
          expect(sodium.openBox(new Uint8Array([...fromHex(hex), ...random(48)]), keys)).toBeUndefined()
      })

      test('of any bytes are undefined, never thrown', () => {
        for (let length = 0; length < 100; length++) expect(sodium.openBox(random(length), keys)).toBeUndefined()
      })

      test('with any one bit flipped do not open', () => {
        const box = sodium.sealBox(random(32), keys.publicKey, random(32)) ?? new Uint8Array()
        for (let bit = 0; bit < box.length * 8; bit++) {
          // X25519 ignores the top bit of a point, but the box's nonce is a hash of the point's bytes.
          expect(sodium.openBox(flip(box, bit), keys)).toBeUndefined()
        }
      })
    })

    describe('encryption', () => {
      const [key, nonce, associated] = [random(32), random(24), random(32)]

      test('gives back what went in, empty texts and associated data included', () => {
        for (const [plain, data] of [
          [random(100), associated],
          [new Uint8Array(), associated],
          [random(100), new Uint8Array()],
          [new Uint8Array(), new Uint8Array()],
        ] as const)
          expect(sodium.decrypt(sodium.encrypt(plain, data, nonce, key), data, nonce, key)).toEqual(plain)
      })

      test('ties text, associated data, nonce and key together', () => {
        const cipher = sodium.encrypt(random(40), associated, nonce, key)
        for (let bit = 0; bit < cipher.length * 8; bit++)
          expect(sodium.decrypt(flip(cipher, bit), associated, nonce, key)).toBeUndefined()
        expect(sodium.decrypt(cipher, flip(associated, 0), nonce, key)).toBeUndefined()
        expect(sodium.decrypt(cipher, associated, flip(nonce, 0), key)).toBeUndefined()
        expect(sodium.decrypt(cipher, associated, nonce, flip(key, 0))).toBeUndefined()
      })

      test('of any bytes and lengths is undefined, never thrown', () => {
        fc.assert(
          fc.property(bytes, bytes, bytes, bytes, (cipher, data, n, k) => {
            expect(sodium.decrypt(cipher, data, n, k)).toBeUndefined()
            expect(sodium.decrypt(cipher, data, nonce, key)).toBeUndefined()
          }),
        )
      })
    })

    test('lengths that only our own code chooses are invariants', () => {
      expect(() => sodium.signKeys('sign', random(31))).toThrow('Broken invariant')
      expect(() => sodium.sealKeys(random(33))).toThrow('Broken invariant')
      expect(() => sodium.sign(random(1), new Secret('sign', random(32)))).toThrow('Broken invariant')
      expect(() => sodium.encrypt(random(1), random(1), random(23), random(32))).toThrow('Broken invariant')
      expect(() => sodium.encrypt(random(1), random(1), random(24), random(31))).toThrow('Broken invariant')
      expect(() => sodium.hash([], 8)).toThrow('Broken invariant')
      expect(() => sodium.hash([], 32, random(8))).toThrow('Broken invariant')
    })

    test('a secret key does not appear when it is printed', () => {
      const { secretKey } = sodium.signKeys('sign', random(32))
      expect(`${String(secretKey)} ${JSON.stringify({ secretKey })}`).toBe('[redacted] {"secretKey":"[redacted]"}')
    })
  })
}

export const flip = (bytes: Uint8Array, bit: number): Uint8Array => {
  const flipped = bytes.slice()
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return flipped
}

const exactly = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })

/** Identity, order 2, order 4 (twice) and order 8 (twice), canonical. */
const ED25519_LOW_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
]
const ED25519_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

/** The same signature with S + L in place of S: equal to a verifier that does not insist on the least form. */
function plusOrder(signature: Signature): Uint8Array {
  let scalar = ED25519_ORDER
  for (let at = 31; at >= 0; at--) scalar += BigInt(signature[32 + at] ?? 0) << BigInt(8 * at)
  const changed = new Uint8Array(signature)
  for (let at = 0; at < 32; at++) changed[32 + at] = Number((scalar >> BigInt(8 * at)) & 255n)
  return changed
}

/** Base point times scalar, by OpenSSL. */
function x25519Base(scalar: Uint8Array): Uint8Array {
  const privatePrefix = Buffer.from('302e020100300506032b656e04220420', 'hex')
  const secret = createPrivateKey({ key: Buffer.concat([privatePrefix, scalar]), format: 'der', type: 'pkcs8' })
  const key = createPublicKey(secret)
  return new Uint8Array(key.export({ format: 'der', type: 'spki' }).subarray(-32))
}

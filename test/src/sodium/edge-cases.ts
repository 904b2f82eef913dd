import { concatBytes, fromHex, toHex, utf8 } from '@sealmesh/protocol/bytes'
import type { SealPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { seededRandom } from '../envelope/scene.ts'
import {
  add,
  BASE,
  challengeOf,
  encodePoint,
  encodeY,
  IDENTITY,
  L,
  littleEndian,
  mod,
  numberOf,
  P,
  type Point,
  pointOf,
  pointOfOrderEight,
  times,
} from './edwards.ts'
import { LOW_ORDER_POINTS } from './published-vectors.ts'

/**
 * test/vectors/edge-cases.json: inputs at the edges of the three primitives, with the one verdict that every node has to
 * give (docs/spec/01-bytes.md §4). Made from the definitions of curves and numbers. Everything is hexadecimal.
 */
export interface EdgeCases {
  readonly about: string
  readonly ed25519: readonly SignatureCase[]
  readonly sealTo: readonly { name: string; publicKey: string; sealed: boolean }[]
  readonly openBox: readonly { name: string; seed: string; box: string; opened: boolean }[]
  readonly xchacha20poly1305: readonly CipherCase[]
}
interface SignatureCase {
  readonly name: string
  readonly publicKey: string
  readonly message: string
  readonly signature: string
  readonly valid: boolean
}
interface CipherCase {
  readonly name: string
  readonly key: string
  readonly nonce: string
  readonly associated: string
  readonly cipher: string
  readonly valid: boolean
}

export const buildEdgeCases = (sodium: Sodium): EdgeCases => ({
  about: 'Edge cases of Ed25519, X25519 and XChaCha20-Poly1305 with the verdict that each implementation must give.',
  ed25519: signatures(),
  sealTo: recipients(sodium),
  openBox: boxes(sodium),
  xchacha20poly1305: ciphers(sodium),
})

function signatures(): SignatureCase[] {
  const random = seededRandom('edge cases of ed25519')
  const message = utf8('the same verdict everywhere')
  const cases: SignatureCase[] = []
  const put = (name: string, valid: boolean, key: Uint8Array, signature: Uint8Array, text = message): void =>
    void cases.push({ name, publicKey: toHex(key), message: toHex(text), signature: toHex(signature), valid })
  const secret = mod(numberOf(random(32)), L)
  const key = encodePoint(times(secret, BASE))
  const scalar = (): bigint => mod(numberOf(random(32)), L)
  /** A signature for `secret` over a key and commitment that need not be honest; `fits` chooses among tries. */
  const sign = (key: Uint8Array, change: (r: Point) => Uint8Array, fits: (h: bigint) => boolean = () => true) => {
    for (;;) {
      const r = scalar()
      const commitment = change(times(r, BASE))
      const h = challengeOf(commitment, key, message)
      if (fits(h)) return { commitment, s: mod(r + h * secret, L) }
    }
  }
  const joined = ({ commitment, s }: { commitment: Uint8Array; s: bigint }) => concatBytes(commitment, littleEndian(s))
  const good = sign(key, encodePoint)
  put('as it should be', true, key, joined(good))
  put('another message', false, key, joined(good), utf8('another'))
  put('no message', false, key, joined(good), new Uint8Array())

  for (const [name, s] of [
    ['S is S + L', good.s + L],
    ['S is S + 2L', good.s + 2n * L],
    ['S is L', L],
    ['S has its highest bit set', good.s | (1n << 255n)],
    ['S has bit 253 set', good.s | (1n << 253n)],
    ['S is 2^256 - 1', (1n << 256n) - 1n],
    ['S is 0', 0n],
    ['S is L - S', L - good.s],
  ] as const)
    put(name, false, key, joined({ ...good, s }))
  for (const length of [0, 1, 32, 63]) put(`${length} bytes`, false, key, joined(good).subarray(0, length))
  put('65 bytes', false, key, concatBytes(joined(good), new Uint8Array(1)))
  put('twice itself', false, key, concatBytes(joined(good), joined(good)))
  put('nothing but zeros', false, key, new Uint8Array(64))
  for (const length of [0, 31]) put(`a key of ${length} bytes`, false, key.subarray(0, length), joined(good))
  put('a key of 33 bytes', false, concatBytes(key, new Uint8Array(1)), joined(good))

  const eighth = pointOfOrderEight()
  const small = Array.from({ length: 8 }, (_, at) => times(BigInt(at), eighth))
  const smallForms: (readonly [string, Uint8Array])[] = small
    .map((point, at): readonly [string, Uint8Array] => [
      `of order ${orderOf(point)}, ${at} times a point of order 8`,
      encodePoint(point),
    ])
    .concat([
      ['0, written as p', encodeY(P, 0n)],
      ['0 with the other sign, written as p', encodeY(P, 1n)],
      ['1, written as p + 1', encodeY(P + 1n, 0n)],
      ['1 with a sign that x = 0 has not', encodeY(1n, 1n)],
      ['p + 1 with a sign that x = 0 has not', encodeY(P + 1n, 1n)],
      ['-1 with a sign that x = 0 has not', encodeY(P - 1n, 1n)],
    ])
  for (const [name, bytes] of smallForms) {
    // With a key of small order the equation holds for any message whose number is a multiple of the order.
    for (let tries = 0; ; tries++) {
      const r = scalar()
      const commitment = encodePoint(times(r, BASE))
      if (challengeOf(commitment, bytes, message) % 8n !== 0n) continue
      put(`a key ${name}`, false, bytes, concatBytes(commitment, littleEndian(r)))
      break
    }
    // With R the identity the equation holds for S = hA; with others of small order, but for a multiple of eight.
    put(`R ${name}`, false, key, concatBytes(bytes, littleEndian(mod(challengeOf(bytes, key, message) * secret, L))))
  }
  put(
    'a key and R of small order, S 0',
    false,
    encodePoint(IDENTITY),
    concatBytes(encodePoint(IDENTITY), littleEndian(0n)),
  )

  // Keys with a part of small order: the equation without its factor of eight decides, so that all decide alike.
  const mixedKey = encodePoint(add(times(secret, BASE), eighth))
  put(
    'a key with a part of order 8, where that part falls away',
    true,
    mixedKey,
    joined(sign(mixedKey, encodePoint, (h) => h % 8n === 0n)),
  )
  put(
    'a key with a part of order 8, which a verifier that multiplies by eight would not see',
    false,
    mixedKey,
    joined(sign(mixedKey, encodePoint, (h) => h % 8n === 1n)),
  )
  put(
    'R with a part of order 8, which a verifier that multiplies by eight would not see',
    false,
    key,
    joined(sign(key, (r) => encodePoint(add(r, eighth)))),
  )
  put(
    'key and R with a part of order 8',
    false,
    mixedKey,
    joined(
      sign(
        mixedKey,
        (r) => encodePoint(add(r, eighth)),
        (h) => h % 8n === 1n,
      ),
    ),
  )

  for (let y = 2n; y < 19n; y++) {
    const isPoint = pointOf(y, 0n) !== undefined
    put(
      `a key with y = ${y}, ${isPoint ? 'written as p and more' : 'which no point has'}`,
      false,
      encodeY(isPoint ? P + y : y, 0n),
      joined(good),
    )
    put(
      `R with y = ${y}, ${isPoint ? 'written as p and more' : 'which no point has'}`,
      false,
      key,
      concatBytes(encodeY(isPoint ? P + y : y, 0n), littleEndian(good.s)),
    )
  }
  return cases
}

const orderOf = (point: Point): number =>
  [1, 2, 4, 8].find((order) => times(BigInt(order), point).y === 1n && times(BigInt(order), point).x === 0n) ?? 0

function recipients(sodium: Sodium): EdgeCases['sealTo'] {
  const { publicKey } = sodium.sealKeys(seededRandom('edge cases of x25519')(32))
  const u = (value: bigint): string => toHex(littleEndian(value))
  const withTopBit = (hex: string): string => toHex(fromHex(hex).with(31, fromHex(hex)[31]! | 0x80))
  return [
    { name: 'a key as it should be', publicKey: toHex(publicKey), sealed: true },
    { name: 'the base point', publicKey: u(9n), sealed: true },
    { name: 'u = 2, on the twist', publicKey: u(2n), sealed: true },
    { name: 'u = 4, written as p + 4', publicKey: u(P + 4n), sealed: true },
    { name: 'u = 18, written as 2^255 - 1', publicKey: u((1n << 255n) - 1n), sealed: true },
    ...LOW_ORDER_POINTS.map((point) => ({
      name: `a point of low order, ${point.slice(0, 8)}…`,
      publicKey: point,
      sealed: false,
    })),
    ...LOW_ORDER_POINTS.map((point) => ({
      name: `the same with its highest bit set, ${point.slice(0, 8)}…`,
      publicKey: withTopBit(point),
      sealed: false,
    })),
    ...[0, 31, 33].map((length) => ({ name: `${length} bytes`, publicKey: '09'.repeat(length), sealed: false })),
  ]
}

function boxes(sodium: Sodium): EdgeCases['openBox'] {
  const random = seededRandom('edge cases of boxes')
  const seed = random(32)
  const { publicKey } = sodium.sealKeys(seed)
  const seal = (to: Uint8Array): Uint8Array =>
    sodium.sealBox(random(32), to as SealPublicKey, random(32)) ?? new Uint8Array()
  const box = seal(publicKey)
  const put = (name: string, bytes: Uint8Array, opened = false) => ({
    name,
    seed: toHex(seed),
    box: toHex(bytes),
    opened,
  })
  return [
    put('as it should be', box, true),
    // Another form of one point gives the same secret; the nonce is made of the bytes, so one form opens.
    put('ephemeral key with its highest bit set', box.with(31, box[31]! | 0x80)),
    put('sealed to our key with its highest bit set', seal(publicKey.with(31, publicKey[31]! | 0x80))),
    ...LOW_ORDER_POINTS.map((point) =>
      put(`ephemeral key of low order, ${point.slice(0, 8)}…`, concatBytes(fromHex(point), box.subarray(32))),
    ),
    put('ephemeral key is ours', concatBytes(publicKey, box.subarray(32))),
    put('tag of zeros', concatBytes(box.subarray(0, 32), new Uint8Array(16), box.subarray(48))),
    put('without its last byte', box.subarray(0, -1)),
    put('with a byte more', concatBytes(box, new Uint8Array(1))),
    ...[0, 16, 31, 32, 47, 48].map((length) => put(`${length} bytes`, box.subarray(0, length))),
  ]
}

function ciphers(sodium: Sodium): CipherCase[] {
  const random = seededRandom('edge cases of xchacha20-poly1305')
  const [key, nonce, associated, plain] = [random(32), random(24), random(32), random(48)]
  const whole = sodium.encrypt(plain, associated, nonce, key)
  const put = (
    name: string,
    changes: Partial<Record<'key' | 'nonce' | 'associated' | 'cipher', Uint8Array>>,
    valid = false,
  ): CipherCase => {
    const all = { key, nonce, associated, cipher: whole, ...changes }
    return {
      name,
      key: toHex(all.key),
      nonce: toHex(all.nonce),
      associated: toHex(all.associated),
      cipher: toHex(all.cipher),
      valid,
    }
  }
  const nothing = new Uint8Array()
  const flip = (bytes: Uint8Array, at: number, bit: number): Uint8Array => bytes.with(at, bytes[at]! ^ bit)
  const tagAt = whole.length - 16
  return [
    put('as it should be', {}, true),
    put('nothing in it', { cipher: sodium.encrypt(nothing, associated, nonce, key) }, true),
    put(
      'nothing in it and nothing beside it',
      { associated: nothing, cipher: sodium.encrypt(nothing, nothing, nonce, key) },
      true,
    ),
    ...[0, 1, 8, 12, 15].map((left) => put(`tag cut to ${left} bytes`, { cipher: whole.subarray(0, tagAt + left) })),
    ...Array.from({ length: 16 }, (_, at) =>
      put(`bit ${at % 8} of byte ${at} of the tag`, { cipher: flip(whole, tagAt + at, 1 << (at % 8)) }),
    ),
    put('tag of zeros', { cipher: concatBytes(whole.subarray(0, tagAt), new Uint8Array(16)) }),
    put('tag of ones', { cipher: concatBytes(whole.subarray(0, tagAt), new Uint8Array(16).fill(255)) }),
    put('all bits of the tag', { cipher: whole.map((byte, at) => (at < tagAt ? byte : byte ^ 255)) }),
    put('tag twice', { cipher: concatBytes(whole, whole.subarray(tagAt)) }),
    put('tag in front', { cipher: concatBytes(whole.subarray(tagAt), whole.subarray(0, tagAt)) }),
    put('tag alone', { cipher: whole.subarray(tagAt) }),
    put('empty', { cipher: nothing }),
    // Lengths are in the tag: what moves from one side to the other is seen, zeros of its padding too.
    put('associated data with a zero more', { associated: concatBytes(associated, new Uint8Array(1)) }),
    put('associated data without its last byte', { associated: associated.subarray(0, -1) }),
    put('the last byte of the associated data put to the text', {
      associated: associated.subarray(0, -1),
      cipher: concatBytes(associated.subarray(-1), whole),
    }),
    put('no associated data', { associated: nothing }),
    put('text with a zero more', {
      cipher: concatBytes(whole.subarray(0, tagAt), new Uint8Array(1), whole.subarray(tagAt)),
    }),
    put('text without its last byte', { cipher: concatBytes(whole.subarray(0, tagAt - 1), whole.subarray(tagAt)) }),
    ...[0, 12, 23, 25].map((length) =>
      put(`a nonce of ${length} bytes`, { nonce: concatBytes(nonce, nonce).subarray(0, length) }),
    ),
    put('a bit of the part of the nonce that makes the key', { nonce: flip(nonce, 0, 1) }),
    put('a bit of the part of the nonce that counts', { nonce: flip(nonce, 23, 0x80) }),
    ...[0, 16, 31, 33].map((length) =>
      put(`a key of ${length} bytes`, { key: concatBytes(key, key).subarray(0, length) }),
    ),
    put('a bit of the key', { key: flip(key, 31, 0x80) }),
  ]
}

import { createHash } from 'node:crypto'

/** The curve of Ed25519 (RFC 8032 §5.1) as its definition has it, slow and plain: with it go what libraries refuse to make. */
export const P = 2n ** 255n - 19n
/** The order of the base point. */
export const L = 2n ** 252n + 27742317777372353535851937790883648493n
const D = mod(-121665n * inverse(121666n))
const ROOT_OF_MINUS_ONE = power(2n, (P - 1n) / 4n)

export interface Point {
  readonly x: bigint
  readonly y: bigint
}
export const IDENTITY: Point = { x: 0n, y: 1n }
export const BASE: Point = pointOf(mod(4n * inverse(5n)), 0n)!

export function mod(value: bigint, by = P): bigint {
  const rest = value % by
  return rest < 0n ? rest + by : rest
}

function power(of: bigint, exponent: bigint): bigint {
  let [result, square] = [1n, mod(of)]
  for (let left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = mod(result * square)
    square = mod(square * square)
  }
  return result
}

function inverse(of: bigint): bigint {
  return power(of, P - 2n)
}

/** The point with this y and this lowest bit of x; undefined when there is none on the curve. */
export function pointOf(y: bigint, sign: bigint): Point | undefined {
  const [u, v] = [mod(y * y - 1n), mod(D * y * y + 1n)]
  const square = mod(u * inverse(v))
  let x = power(square, (P + 3n) / 8n)
  if (mod(x * x) !== square) x = mod(x * ROOT_OF_MINUS_ONE)
  if (mod(x * x) !== square) return undefined
  return { x: (x & 1n) === sign ? x : mod(-x), y: mod(y) }
}

export const add = (a: Point, b: Point): Point => affine(sum(extended(a), extended(b)))

export function times(scalar: bigint, point: Point): Point {
  let [result, double] = [extended(IDENTITY), extended(point)]
  for (let left = scalar; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = sum(result, double)
    double = sum(double, double)
  }
  return affine(result)
}

/** With the denominator kept apart, and the product of both (RFC 8032 §5.1.4): one inverse at the end is enough. */
interface Extended extends Point {
  readonly z: bigint
  readonly t: bigint
}
const extended = ({ x, y }: Point): Extended => ({ x, y, z: 1n, t: mod(x * y) })
function affine({ x, y, z }: Extended): Point {
  const by = inverse(z)
  return { x: mod(x * by), y: mod(y * by) }
}
function sum(p: Extended, q: Extended): Extended {
  const a = mod((p.y - p.x) * (q.y - q.x))
  const b = mod((p.y + p.x) * (q.y + q.x))
  const c = mod(2n * D * p.t * q.t)
  const d = mod(2n * p.z * q.z)
  const [e, f, g, h] = [b - a, d - c, d + c, b + a]
  return { x: mod(e * f), y: mod(g * h), z: mod(f * g), t: mod(e * h) }
}

export function littleEndian(value: bigint, length = 32): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => Number((value >> BigInt(8 * at)) & 255n))
}

export function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
}

/** Of `y` itself, which may be written as a number above the field's. */
export const encodeY = (y: bigint, sign: bigint): Uint8Array => littleEndian(y | (sign << 255n))
export const encodePoint = ({ x, y }: Point): Uint8Array => encodeY(y, x & 1n)

/** The number that a signature's equation takes of commitment, key and message. */
export const challengeOf = (...parts: readonly Uint8Array[]): bigint =>
  mod(numberOf(createHash('sha512').update(Buffer.concat(parts)).digest()), L)

/** A point of order eight: all of small order are its multiples. */
export function pointOfOrderEight(): Point {
  for (let y = 2n; ; y++) {
    const point = pointOf(y, 0n)
    const small = point === undefined ? IDENTITY : times(L, point)
    if (times(4n, small).y !== IDENTITY.y) return small
  }
}

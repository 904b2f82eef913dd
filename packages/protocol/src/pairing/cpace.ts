import { concatBytes, utf8 } from '../bytes.ts'
import type { Ristretto } from '../ristretto.ts'

/**
 * CPace with ristretto255 and SHA-512 between an initiator A and a responder B, as draft-irtf-cfrg-cpace has it
 * (CPACE-RISTR255-SHA512, sections 7.1, 7.2 and 8.3): a common key from a secret too small to be one. Whoever does not
 * know the secret can try one guess for each run, and nothing afterwards.
 */
export interface CpaceRun {
  /** The secret that both know. */
  readonly secret: Uint8Array
  /** Which two ends, over which channel. */
  readonly channel: Uint8Array
  /** Of this run and no other. */
  readonly session: Uint8Array
}

export interface CpaceShare {
  readonly point: Uint8Array
  /** Said beside it, and bound into the key. */
  readonly said: Uint8Array
}

const NAME = utf8('CPaceRistretto255')
const NAME_OF_KEY = utf8('CPaceRistretto255_ISK')
/** A block of SHA-512: name and secret fill the first one alone. */
const HASH_BLOCK_BYTES = 128

export function cpaceGenerator(run: CpaceRun, ristretto: Ristretto): Uint8Array {
  return ristretto.toPoint(ristretto.sha512(generatorString(run)))
}

/** `scalar`: 32 bytes from `toScalar`, random and used once. */
export function cpacePoint(run: CpaceRun, scalar: Uint8Array, ristretto: Ristretto): Uint8Array {
  const point = ristretto.multiply(scalar, cpaceGenerator(run, ristretto))
  if (point === undefined) throw new Error('A hash gave the identity')
  return point
}

/** The 64 bytes that both ends get if both know the secret. Undefined for a point of the other's that is no good. */
export function cpaceKey(
  run: CpaceRun,
  scalar: Uint8Array,
  shares: { readonly initiator: CpaceShare; readonly responder: CpaceShare },
  others: 'initiator' | 'responder',
  ristretto: Ristretto,
): Uint8Array | undefined {
  const common = ristretto.multiply(scalar, shares[others].point)
  if (common === undefined) return undefined
  const { initiator, responder } = shares
  const transcript = concatBytes(
    withLengths(initiator.point, initiator.said),
    withLengths(responder.point, responder.said),
  )
  return ristretto.sha512(concatBytes(withLengths(NAME_OF_KEY, run.session, common), transcript))
}

export function generatorString({ secret, channel, session }: CpaceRun): Uint8Array {
  const filled = withLengths(secret).length + withLengths(NAME).length
  const zeros = new Uint8Array(Math.max(0, HASH_BLOCK_BYTES - 1 - filled))
  return withLengths(NAME, secret, zeros, channel, session)
}

/** Each part behind its length in LEB128. */
export function withLengths(...parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...parts.flatMap((part) => [lengthOf(part.length), part]))
}

function lengthOf(length: number): Uint8Array {
  const bytes: number[] = []
  let rest = length
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return Uint8Array.of(...bytes, rest)
}

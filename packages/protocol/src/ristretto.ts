/** What CPace needs beyond `Sodium`: the group ristretto255 and SHA-512. None of the functions draws randomness. */
export interface Ristretto {
  sha512(bytes: Uint8Array): Uint8Array
  /** From 64 bytes of a hash to a point. */
  toPoint(hash: Uint8Array): Uint8Array
  /** From 64 random bytes to a scalar. */
  toScalar(random: Uint8Array): Uint8Array
  /** Undefined for what is no point, and where the product is the identity: a stranger chose the point. */
  multiply(scalar: Uint8Array, point: Uint8Array): Uint8Array | undefined
}

export const POINT_BYTES = 32
export const SCALAR_RANDOM_BYTES = 64

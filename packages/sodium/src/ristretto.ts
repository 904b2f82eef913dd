import { POINT_BYTES, type Ristretto, SCALAR_RANDOM_BYTES } from '@sealmesh/protocol/ristretto'
import { assert } from '@sealmesh/protocol/result'

const SCALAR_BYTES = 32
const HASH_BYTES = 64

/** A second, larger library, loaded only by who pairs by a code. */
export async function loadRistretto(): Promise<Ristretto> {
  const { default: library } = await import('libsodium-wrappers-sumo')
  await library.ready
  return {
    sha512: (bytes) => library.crypto_hash_sha512(bytes),
    toPoint(hash) {
      assert(hash.length === HASH_BYTES, 'a point is made from 64 bytes')
      return library.crypto_core_ristretto255_from_hash(hash)
    },
    toScalar(random) {
      assert(random.length === SCALAR_RANDOM_BYTES, 'a scalar is made from 64 bytes')
      return library.crypto_core_ristretto255_scalar_reduce(random)
    },
    multiply(scalar, point) {
      assert(scalar.length === SCALAR_BYTES, 'a scalar has 32 bytes')
      if (point.length !== POINT_BYTES || !library.crypto_core_ristretto255_is_valid_point(point)) return undefined
      try {
        return library.crypto_scalarmult_ristretto255(scalar, point)
      } catch {
        return undefined // The identity.
      }
    },
  }
}

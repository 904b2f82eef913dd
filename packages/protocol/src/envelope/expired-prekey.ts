import { toHex } from '../bytes.ts'
import type { SealPublicKey } from '../keys.ts'
import { PACKET_EXPIRY_MS_MAX, PREKEY_SKEW_MS } from '../limits.ts'
import type { Prekey } from '../membership/mesh.ts'

/** When the private half is destroyed: a sender whose clock is an hour behind may seal to it until then. */
export const prekeyEndsMs = ({ expiresMs }: Pick<Prekey, 'expiresMs'>): number => expiresMs + PREKEY_SKEW_MS

/**
 * Whether a box that nothing opens may have been sealed to a prekey whose time was over: a box names no key, but a
 * packet lives no longer than it may, so its expiry says within which time it was sealed.
 */
export const mayBeExpired = (
  announced: readonly Prekey[],
  held: readonly { readonly publicKey: SealPublicKey }[],
  packetExpiresMs: number,
  nowMs: number,
): boolean => {
  const kept = new Set(held.map(({ publicKey }) => toHex(publicKey)))
  return announced.some(
    (prekey) =>
      prekeyEndsMs(prekey) < nowMs &&
      !kept.has(toHex(prekey.publicKey)) &&
      prekey.notBeforeMs - PREKEY_SKEW_MS <= packetExpiresMs &&
      packetExpiresMs - PACKET_EXPIRY_MS_MAX < prekey.expiresMs,
  )
}

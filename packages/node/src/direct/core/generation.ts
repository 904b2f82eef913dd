import { GENERATION_BYTES } from '@sealmesh/protocol/wire/challenge'

/**
 * What stands for a relay's generation, and is signed by both sides: the beginning of the SHA-256 of the certificate. So a
 * login is good for this TLS session alone, and whoever ends TLS in between has none.
 */
export const generationOf = (certificateHash: Uint8Array): Uint8Array => certificateHash.subarray(0, GENERATION_BYTES)

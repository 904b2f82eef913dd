import { concatBytes, fromHex, toHex } from '../bytes.ts'
import type { IncarnationId, NodeId } from '../ids.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/**
 * An incarnation belongs to one author, and its id says so (docs/spec/03-blocks.md §1): 8 bytes of a hash over the
 * author and the salt, then the salt. A member that signs a block under somebody else's incarnation would otherwise
 * make it look forked, and with it every text that the other wrote; and since the Yjs client id is taken from the
 * hashed half, taking another's client id costs 2^48 tries.
 */
export const SALT_BYTES = 8
const BOUND_BYTES = 8

/** `salt`: 8 random bytes, new for every run. */
export const mintIncarnation = (author: NodeId, salt: Uint8Array, sodium: Sodium): IncarnationId =>
  toHex(concatBytes(boundPart(author, salt, sodium), salt)) as IncarnationId

export function isIncarnationOf(incarnation: IncarnationId, author: NodeId, sodium: Sodium): boolean {
  const salt = fromHex(incarnation).subarray(BOUND_BYTES)
  return incarnation.startsWith(toHex(boundPart(author, salt, sodium)))
}

const boundPart = (author: NodeId, salt: Uint8Array, sodium: Sodium): Uint8Array =>
  sodium.hash([TAGS.incarnation, fromHex(author), salt]).subarray(0, BOUND_BYTES)

import { coversDot, entriesOf, isAncestorBySequence, type VersionVector } from '../crdt/clock.ts'
import { joinTips, tipsBeyond } from '../crdt/vector.ts'
import type { Reached, Shared } from './peer-plan.ts'

/** What a peer has of one document, as far as an acknowledgement may rely on it. */
export interface Progress {
  /** What is durable of it here and the peer's business. */
  readonly mine: VersionVector
  readonly receipted: VersionVector
  /** Undefined when that is `receipted`: else both have to cover what is to count. */
  readonly confirmed: VersionVector | undefined
  readonly stored: VersionVector
}

/**
 * What the relay has stored for the peer, once it has stored this packet: of each incarnation only where all that comes
 * before is stored or receipted, since a vector has no holes. A packet that was *delivered* is one until its receipt.
 */
export function storedWith({ stored, receipted }: Shared, { after, vector }: Reached): VersionVector {
  const held = joinTips(receipted, stored)
  const whole = tipsBeyond(after, vector).filter(({ incarnation }) =>
    entriesOf(after, incarnation).every((dot) => coversDot(held, dot, isAncestorBySequence)),
  )
  return whole.length === 0 ? stored : joinTips(stored, whole)
}

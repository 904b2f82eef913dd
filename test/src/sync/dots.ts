import type { Dot } from '@sealmesh/protocol/crdt/clock'
import type { BlockHash, IncarnationId } from '@sealmesh/protocol/ids'

/** A dot that is easy to read in a failure. */
export const dotOf = (incarnation: string, sequence: number): Dot => ({
  incarnation: incarnation.repeat(16) as IncarnationId,
  sequence,
  hash: sequence.toString(16).padStart(64, '0') as BlockHash,
})

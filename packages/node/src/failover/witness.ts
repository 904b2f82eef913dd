import type { SlotId } from '@sealmesh/protocol/ids'
import type { WitnessName } from '@sealmesh/protocol/failover/node-lease'

/** A register as the witness says that it is, durably. */
export interface SlotSeen {
  /** Null for nothing there. */
  readonly hash: Uint8Array | null
  readonly blob: Uint8Array | null
  /** Of the sets of this register, 0 for nothing there; absent where several relays say it. */
  readonly counter?: number
  readonly witness: WitnessName
}

export interface SlotWritten extends SlotSeen {
  readonly result: 'set' | 'differs' | 'young'
}

/**
 * The one place of a mesh that says no. Both reject with a `Failure` where there is no answer; after that nobody knows
 * whether a `set` was done, and a `read` that is asked for later says.
 */
export interface Witness {
  /** Of what is set, exactly. */
  readonly blobBytes: number
  read(slot: SlotId): Promise<SlotSeen>
  /** Replaces what hashes to `expected` (null: nothing) if it has lain there for `leastAgeMs` by the witness's clock. */
  set(slot: SlotId, expected: Uint8Array | null, blob: Uint8Array, leastAgeMs: number): Promise<SlotWritten>
}

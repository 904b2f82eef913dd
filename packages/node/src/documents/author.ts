import { toHex } from '@sealmesh/protocol/bytes'
import { HybridClock } from '@sealmesh/protocol/crdt/hybrid-time'
import type { IncarnationId } from '@sealmesh/protocol/ids'

const INCARNATION_BYTES = 16

/** Who writes here now: one incarnation and one clock for all documents of this process. */
export class Author {
  readonly #random: (bytes: number) => Uint8Array
  #incarnation: IncarnationId
  #clock = new HybridClock()

  constructor(incarnation: IncarnationId, random: (bytes: number) => Uint8Array) {
    this.#incarnation = incarnation
    this.#random = random
  }

  get incarnation(): IncarnationId {
    return this.#incarnation
  }

  /** Follows the times of every block of a document before anything is written to it, own ones first of all. */
  get clock(): HybridClock {
    return this.#clock
  }

  /**
   * Starts another run. Needed when blocks of the present one do not count any more (what is written on top would be
   * set aside with them) or when somebody else writes under it: counters are never reused.
   */
  renew(): void {
    this.#incarnation = toHex(this.#random(INCARNATION_BYTES)) as IncarnationId
    this.#clock = new HybridClock()
  }
}

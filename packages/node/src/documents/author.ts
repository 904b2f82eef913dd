import { HybridClock } from '@sealmesh/protocol/crdt/hybrid-time'
import { mintIncarnation, SALT_BYTES } from '@sealmesh/protocol/crdt/incarnation'
import type { IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'

export interface AuthorDeps {
  readonly node: NodeId
  /** Minted for `node`: peers refuse blocks under any other. */
  readonly incarnation: IncarnationId
  readonly random: (bytes: number) => Uint8Array
  readonly sodium: Sodium
}

/** Who writes here now: one incarnation and one clock for all documents of this process. */
export class Author {
  readonly #deps: AuthorDeps
  #incarnation: IncarnationId
  #clock = new HybridClock()

  constructor(deps: AuthorDeps) {
    this.#deps = deps
    this.#incarnation = deps.incarnation
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
    const { node, random, sodium } = this.#deps
    this.#incarnation = mintIncarnation(node, random(SALT_BYTES), sodium)
    this.#clock = new HybridClock()
  }
}

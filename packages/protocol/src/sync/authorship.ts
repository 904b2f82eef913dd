import type { VersionVector } from '../crdt/clock.ts'
import { isIncarnationOf } from '../crdt/incarnation.ts'
import type { IncarnationId, NodeId } from '../ids.ts'
import type { Sodium } from '../sodium.ts'
import { countMissing } from '../crdt/vector.ts'

/** Whose incarnations they are is worked out once; of more than this, again. */
const INCARNATIONS_MAX = 16_384

/** Which of the two ends of a link wrote under an incarnation. */
export class Authorship {
  readonly #sodium: Sodium
  readonly #ends: { readonly me: NodeId; readonly peer: NodeId }
  readonly #known = new Map<string, boolean>()

  constructor(sodium: Sodium, ends: { readonly me: NodeId; readonly peer: NodeId }) {
    this.#sodium = sodium
    this.#ends = ends
  }

  /**
   * The part of our vector that is the peer's business. Who may not read a document learns of it only what it wrote
   * itself, and of what we only write for somebody, only our own blocks count.
   */
  concerning(peerReads: boolean, bothRead: boolean, vector: VersionVector): VersionVector {
    if (bothRead) return vector
    const author = peerReads ? 'me' : 'peer'
    const concerns = vector.filter((dot) => this.isBy(author, dot.incarnation))
    return concerns.length === vector.length ? vector : concerns
  }

  /**
   * What of a peer's word can be missing here. Of one from when it read more, only what still concerns us; and what we
   * wrote, have lost and may not read any more nobody gives back.
   */
  word(peerReads: boolean, bothRead: boolean, mine: VersionVector, named: VersionVector): VersionVector {
    const said = this.concerning(peerReads, bothRead, named)
    return peerReads && !bothRead && said !== mine && countMissing(mine, said) > 0 ? mine : said
  }

  isBy(end: 'me' | 'peer', incarnation: IncarnationId): boolean {
    const author = this.#ends[end]
    const key = author + incarnation
    let is = this.#known.get(key)
    if (is === undefined) {
      is = isIncarnationOf(incarnation, author, this.#sodium)
      if (this.#known.size === INCARNATIONS_MAX) this.#known.clear()
      this.#known.set(key, is)
    }
    return is
  }
}

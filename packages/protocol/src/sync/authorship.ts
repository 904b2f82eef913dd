import type { VersionVector } from '../crdt/clock.ts'
import { isIncarnationOf } from '../crdt/incarnation.ts'
import type { IncarnationId, NodeId } from '../ids.ts'
import type { Sodium } from '../sodium.ts'
import { countMissing, joinTips } from '../crdt/vector.ts'
import type { Rights, Shared } from './peer-plan.ts'

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
   * The part of our vector that the two of us have to do with: all that both read; where one reads, what either wrote;
   * where none does any more, what the peer wrote.
   */
  concerning({ peerReads, bothRead, iRead }: Rights, vector: VersionVector): VersionVector {
    if (bothRead) return vector
    const oneReads = peerReads || iRead === true
    const concerns = vector.filter(
      ({ incarnation }) => this.isBy('peer', incarnation) || (oneReads && this.isBy('me', incarnation)),
    )
    return concerns.length === vector.length ? vector : concerns
  }

  /** What the peer wrote itself: it has that, unless it asks for it. */
  ofPeer(vector: VersionVector): VersionVector {
    return vector.filter(({ incarnation }) => this.isBy('peer', incarnation))
  }

  /** What a receipt says. Who may not read a document learns of it only that what it wrote itself has come. */
  said({ peerReads, bothRead, mine }: Rights & { readonly mine: VersionVector }): VersionVector {
    return peerReads || bothRead ? mine : this.ofPeer(mine)
  }

  /** What a question says: beside that, how far we have what we wrote ourselves and the peer says that it holds. */
  asked({ named = [], ...shared }: Rights & Pick<Shared, 'mine' | 'named'>): VersionVector {
    const { peerReads, bothRead, mine } = shared
    if (peerReads || bothRead) return mine
    const held = new Map(mine.map((dot) => [dot.incarnation, dot]))
    const own = named.flatMap((dot) => {
      const here = held.get(dot.incarnation)
      if (here === undefined || !this.isBy('me', dot.incarnation)) return []
      return [here.sequence < dot.sequence ? here : dot]
    })
    return joinTips(this.ofPeer(mine), own)
  }

  /**
   * What of a peer's word can be missing here. Of one from when it read more, only what still concerns us; and what we
   * wrote, have lost and may not read any more nobody gives back.
   */
  word(rights: Rights, mine: VersionVector, named: VersionVector): VersionVector {
    const { peerReads, bothRead } = rights
    const said = this.concerning(rights, named)
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

import type { HeadsView, Shared } from './peer-plan.ts'

/** What was asked of a peer and said by it since its heads were looked at last. */
export class HeadsWatch {
  /** Heads ask as well: whoever has others says which. */
  asked = false
  answered = false
  /** Documents under the peer's last root. */
  documents = 0
  #accountedFor = 0

  /**
   * Once for every heads that count: what was asked and said is counted anew from here. `isStuck`: a question would not
   * have gone out, since a relay that takes packets and says nothing of them keeps it back as well.
   */
  look(all: readonly Shared[], differs: boolean, sameLog: boolean, isStuck = false): HeadsView {
    const before = this.#accountedFor
    this.#accountedFor = all.reduce((n, { bothRead, named }) => (bothRead && named?.length ? n + 1 : n), 0)
    // One of which we have never heard may be what differs; while more and more are named, that one may be next.
    const answered = this.answered && this.#accountedFor >= this.documents
    const asked = (this.asked || isStuck) && this.#accountedFor <= before
    this.asked = this.answered = false
    const documents = all.filter(
      ({ toSend, toReceive, askedSinceMs }) => toSend > 0 || toReceive > 0 || askedSinceMs !== undefined,
    )
    return { differs, sameLog, asked, answered, documents }
  }
}

import type { PacketId } from '@sealmesh/protocol/ids'
import type { Reached } from '@sealmesh/protocol/sync/peer-plan'

/** As long as a silent link is kept: a relay whose disk is slow stops reading before it falls so far behind. */
const ANSWER_WAIT_MS = 45_000

interface Sent {
  readonly reached: readonly Reached[]
  readonly sentAtMs: number
  answered: boolean
}

/**
 * Packets to one peer that the relay has not answered, in the order in which they were sent. What they carry counts as
 * handed over only together with all that was sent before it, so that it has no holes.
 */
export class Flight {
  readonly #packets = new Map<PacketId, Sent>()
  #unanswered = 0

  get size(): number {
    return this.#unanswered
  }

  sent(packet: PacketId, reached: readonly Reached[], nowMs: number): void {
    this.#packets.set(packet, { reached, sentAtMs: nowMs, answered: false })
    this.#unanswered += 1
  }

  /** An answer should have come long ago: nobody knows what became of it. */
  isOverdue(nowMs: number): boolean {
    // The first that is kept has not been answered: those before it would be gone.
    const [oldest] = this.#packets.values()
    return oldest !== undefined && nowMs - oldest.sentAtMs >= ANSWER_WAIT_MS
  }

  /** What has been handed over by this answer, and what this packet carried; undefined when it is none of these. */
  answered(packet: PacketId): { readonly over: Reached[]; readonly own: readonly Reached[] } | undefined {
    const known = this.#packets.get(packet)
    if (known === undefined || known.answered) return undefined
    known.answered = true
    this.#unanswered -= 1
    const over: Reached[] = []
    for (const [id, { reached, answered }] of this.#packets) {
      if (!answered) break
      this.#packets.delete(id)
      over.push(...reached)
    }
    return { over, own: known.reached }
  }

  /** Their answers will not come, or mean nothing any more. */
  forget(): void {
    this.#packets.clear()
    this.#unanswered = 0
  }
}

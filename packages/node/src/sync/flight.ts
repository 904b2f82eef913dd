import type { PacketId } from '@sealmesh/protocol/ids'
import type { DocumentVector } from '@sealmesh/protocol/sync/payload'

/**
 * Packets to one peer that the relay has not answered, in the order in which they were sent. What they carry counts as
 * handed over only together with all that was sent before it, so that it has no holes.
 */
export class Flight {
  readonly #packets = new Map<PacketId, { readonly reached: readonly DocumentVector[]; answered: boolean }>()
  #unanswered = 0

  get size(): number {
    return this.#unanswered
  }

  sent(packet: PacketId, reached: readonly DocumentVector[]): void {
    this.#packets.set(packet, { reached, answered: false })
    this.#unanswered += 1
  }

  /** What has been handed over by this answer; undefined when the packet is none of these. */
  answered(packet: PacketId): DocumentVector[] | undefined {
    const known = this.#packets.get(packet)
    if (known === undefined || known.answered) return undefined
    known.answered = true
    this.#unanswered -= 1
    const over: DocumentVector[] = []
    for (const [id, { reached, answered }] of this.#packets) {
      if (!answered) break
      this.#packets.delete(id)
      over.push(...reached)
    }
    return over
  }

  /** Their answers will not come, or mean nothing any more. */
  forget(): void {
    this.#packets.clear()
    this.#unanswered = 0
  }
}

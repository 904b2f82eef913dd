import { toHex } from '@sealmesh/protocol/bytes'
import type { SlotId } from '@sealmesh/protocol/ids'
import type { LeaseStore } from './lease-store.ts'
import type { SlotSeen, SlotWritten, Witness } from './witness.ts'

interface Known {
  readonly counter: number
  readonly hash: Uint8Array | null
}

/** Of all nodes of a large mesh. */
const SLOTS_MAX = 4_096

/**
 * Whether the witness still knows what it once knew (docs/spec/12-failover.md §4). A relay whose disk was put back keeps
 * its generation: that it went back shows in counters, of a slot or of sessions, that fell. From then on what it says
 * carries another name, as if it were of another generation.
 */
export class WitnessMemory {
  readonly #store: Pick<LeaseStore, 'epoch' | 'noteEpoch'>
  readonly #slots = new Map<SlotId, Known>()
  #epoch: number

  constructor(store: Pick<LeaseStore, 'epoch' | 'noteEpoch'>) {
    this.#store = store
    this.#epoch = store.epoch
  }

  over(witness: Witness): Witness {
    return {
      blobBytes: witness.blobBytes,
      read: (slot) => this.#noted(slot, () => witness.read(slot)),
      set: (slot, expected, blob, leastAgeMs) =>
        this.#noted<SlotWritten>(slot, () => witness.set(slot, expected, blob, leastAgeMs)),
    }
  }

  /** Durable before what follows from it is. */
  forgot(): Promise<void> {
    this.#epoch += 1
    this.#slots.clear()
    return this.#store.noteEpoch(this.#epoch)
  }

  async #noted<Answer extends SlotSeen>(slot: SlotId, ask: () => Promise<Answer>): Promise<Answer> {
    // Only what was known before the question can be missing in its answer.
    const before = this.#slots.get(slot)
    const epoch = this.#epoch
    const answer = await ask()
    const { counter, hash } = answer
    if (counter === undefined) return this.#named(answer)
    if (epoch === this.#epoch && before !== undefined && hasFallen(before, counter, hash)) await this.forgot()
    for (const [oldest] of this.#slots) if (this.#slots.size >= SLOTS_MAX) this.#slots.delete(oldest)
    const known = this.#slots.get(slot)
    if (known === undefined || known.counter < counter) this.#slots.set(slot, { counter, hash })
    return this.#named(answer)
  }

  #named<Answer extends SlotSeen>(answer: Answer): Answer {
    const { witness } = answer
    if (this.#epoch === 0) return answer
    return { ...answer, witness: { ...witness, generation: `${witness.generation}/${this.#epoch}` } }
  }
}

const hasFallen = (before: Known, counter: number, hash: Uint8Array | null): boolean =>
  counter < before.counter ||
  (counter === before.counter && (hash && toHex(hash)) !== (before.hash && toHex(before.hash)))

import { Fifo } from '../core/fifo.ts'
import type { Place } from './rows.ts'

/**
 * Where one mailbox's packets lie in their stream, in the order of their sequences. Places grow with sequences, but for
 * what a reader had in hand and left: until the mailbox is empty again, its packets then go one by one.
 */
export class Places {
  readonly #held = new Fifo<Place>()
  #last: Place | null = null
  #isMixed = false

  constructor(found: readonly Place[]) {
    for (const each of found) this.add(each)
  }

  get isEmpty(): boolean {
    return this.#held.length === 0
  }

  add(packet: Place): void {
    const last = this.#last
    if (last !== null && packet.place < last.place) this.#isMixed = true
    if (last !== null && packet.sequence < last.sequence) {
      this.#isMixed = true
      const all = [...this.#held.keep(() => false), packet].sort((a, b) => a.sequence - b.sequence)
      for (const each of all) this.#held.push(each)
    } else this.#held.push(packet)
    this.#last = last === null || packet.sequence > last.sequence ? packet : last
  }

  between(first: number, last: number): Place[] {
    const found: Place[] = []
    for (let at = this.#held.search(({ sequence }) => sequence >= first); ; at++) {
      const each = this.#held.at(at)
      if (each === undefined || each.sequence > last) return found
      found.push(each)
    }
  }

  /** Takes these sequences out. What may go from the stream: all before a place (0 for nothing), and single ones. */
  drop(sequences: Set<number>): { readonly before: number; readonly singles: readonly number[] } {
    const singles: number[] = []
    let before = 0
    for (let { first } = this.#held; first !== undefined && sequences.delete(first.sequence); { first } = this.#held) {
      this.#held.shift()
      if (this.#isMixed) singles.push(first.place)
      else before = first.place + 1
    }
    if (sequences.size > 0)
      for (const { place } of this.#held.keep(({ sequence }) => !sequences.has(sequence))) singles.push(place)
    if (this.isEmpty) {
      this.#isMixed = false
      this.#last = null
    }
    return { before, singles }
  }
}

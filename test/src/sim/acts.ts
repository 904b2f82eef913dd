import type { NodeId, RecordHash } from '@sealmesh/protocol/ids'

export interface Act {
  readonly term: number
  readonly record: RecordHash
  readonly by: NodeId
  readonly name: string
  /** A lease says that nobody else acts. */
  readonly witnessed: boolean
}

/**
 * Every act of every machine in true order, the clones' too. Of terms that came about by the log alone, or by a person
 * who went past the register, exclusivity is not claimed: it ends with the first of them and begins anew with the
 * first act of a term that is higher than any of these.
 */
export class Acts {
  readonly #violated: (what: string) => void
  /** Its home was copied, or put back: what was said to it others may have heard. */
  readonly #mayHaveMissed: (node: NodeId) => boolean
  readonly #unwitnessed = new Set<number>()
  readonly #holders = new Map<number, Act>()
  /** Of each node that was removed: the terms that whoever removed it knew of. */
  readonly #removed = new Map<NodeId, ReadonlySet<RecordHash>>()
  /** Records of numbers that were taken again. */
  readonly #passed = new Set<RecordHash>()
  #highest = 0
  count = 0
  witnessed = 0
  overlaps = 0

  constructor(violated: (what: string) => void, mayHaveMissed: (node: NodeId) => boolean) {
    this.#violated = violated
    this.#mayHaveMissed = mayHaveMissed
  }

  /** Somebody is about to sign this term without asking a register. */
  byLog(term: number): void {
    this.#unwitnessed.add(term)
  }

  isByLog(term: number): boolean {
    return this.#unwitnessed.has(term)
  }

  /**
   * Whoever removed it knew of these terms only: others of it have never been, in any log, so that its agents go on
   * under the terms before them.
   */
  removed(by: NodeId, known: ReadonlySet<RecordHash>): void {
    this.#removed.set(by, known)
    for (const act of this.#holders.values()) if (this.#isVoid(act)) this.#unwitnessed.add(act.term)
  }

  add(act: Act): void {
    this.count += 1
    if (act.term < this.#highest) this.overlaps += 1
    if (!act.witnessed || this.#isVoid(act)) {
      this.#unwitnessed.add(act.term)
      this.#highest = Math.max(this.#highest, act.term)
      return
    }
    this.witnessed += 1
    if (act.term < this.#highest && !this.#isExcused(act.term, this.#highest))
      this.#violated(`${act.name} acts under term ${act.term} after an act under term ${this.#highest}`)
    this.#highest = Math.max(this.#highest, act.term)
    const other = this.#holders.get(act.term)
    if (other === undefined || this.#isTakenAgain(other, act)) this.#holders.set(act.term, act)
    else if ((other.record !== act.record || other.by !== act.by) && !this.#unwitnessed.has(act.term))
      this.#violated(`${act.name} and ${other.name} both act under term ${act.term}`)
  }

  /**
   * A copy of a home took it, or has read the home's mail about who did, and is gone: the home takes the same number
   * again (docs/spec/12-failover.md §4), and under the one before nobody acts any more.
   */
  #isTakenAgain(other: Act, { by, record }: Act): boolean {
    if (!this.#mayHaveMissed(by) || other.record === record || this.#passed.has(record)) return false
    this.#passed.add(other.record)
    return true
  }

  #isVoid({ by, record }: Act): boolean {
    return this.#removed.get(by)?.has(record) === false
  }

  /** Whoever still acted under the lower one was passed over by one of these. */
  #isExcused(from: number, to: number): boolean {
    for (let term = from; term <= to; term++) if (this.#unwitnessed.has(term)) return true
    return false
  }
}

/** What was promised, and what the power took of it. */
export class Tally {
  cuts = 0
  /** Acknowledged writes by what they are. */
  readonly acknowledged = new Map<string, number>()
  /** In words; what is torn is there, and is not what was acknowledged. */
  readonly lost: string[] = []
  readonly torn: string[] = []

  promise(kind: string, count = 1): void {
    this.acknowledged.set(kind, (this.acknowledged.get(kind) ?? 0) + count)
  }

  get total(): number {
    return [...this.acknowledged.values()].reduce((sum, each) => sum + each, 0)
  }

  /** What is there of something that was acknowledged. */
  found(what: string, promised: string, there: string | undefined): void {
    if (there === undefined) this.lost.push(`${what} is missing`)
    else if (there !== promised) this.torn.push(`${what} is not what was acknowledged`)
  }

  add(other: Tally): void {
    this.cuts += other.cuts
    for (const [kind, count] of other.acknowledged) this.promise(kind, count)
    this.lost.push(...other.lost)
    this.torn.push(...other.torn)
  }

  get broken(): readonly string[] {
    return [...this.lost, ...this.torn]
  }
}

/** Ids of one sender that are remembered: a retry comes within seconds, and within as many messages. */
const IDS_MAX = 512

/** What became of messages whose sender chose the id: the same again is the same message, and gets the same answer. */
export class Seen<Outcome> {
  readonly #outcomes = new Map<string, Outcome>()

  get(id: string): Outcome | undefined {
    return this.#outcomes.get(id)
  }

  set(id: string, outcome: Outcome): void {
    this.#outcomes.set(id, outcome)
    if (this.#outcomes.size <= IDS_MAX) return
    const [oldest] = this.#outcomes.keys()
    if (oldest !== undefined) this.#outcomes.delete(oldest)
  }

  /** What came to nothing may be tried again. */
  forget(id: string): void {
    this.#outcomes.delete(id)
  }
}

/** What was promised of durable messages, and what was seen of all: kept beside the nodes, by whoever sends and gets. */
export class Ledger {
  readonly #accepted = new Map<string, { readonly to: string; readonly atMs: number }>()
  readonly #handled = new Map<string, { times: number; readonly firstAtMs: number }>()
  readonly sent: Record<string, number> = {}
  readonly failed: Record<string, number> = {}
  received = 0

  /** A send of that kind was answered; of a durable one, with whom it was accepted for. */
  answered(kind: string, id: string, durableFor: string | undefined, atMs: number): void {
    this.sent[kind] = (this.sent[kind] ?? 0) + 1
    if (durableFor !== undefined) this.#accepted.set(keyOf(durableFor, id), { to: durableFor, atMs })
  }

  /** Nobody promised anything: it may have come or not. */
  refused(code: string): void {
    this.failed[code] = (this.failed[code] ?? 0) + 1
  }

  handled(by: string, id: string, atMs: number): void {
    this.received += 1
    const before = this.#handled.get(keyOf(by, id))
    if (before === undefined) this.#handled.set(keyOf(by, id), { times: 1, firstAtMs: atMs })
    else before.times += 1
  }

  /** Accepted, and not handled so far. */
  lost(): string[] {
    return [...this.#accepted.keys()].filter((key) => !this.#handled.has(key))
  }

  get accepted(): number {
    return this.#accepted.size
  }

  /** Durable ones that were handled more than once, all of their further times counted. */
  get duplicates(): number {
    let count = 0
    for (const key of this.#accepted.keys()) count += Math.max(0, (this.#handled.get(key)?.times ?? 0) - 1)
    return count
  }

  /** Of durable ones: the longest from the answer to its sender until it was handled, in ms. */
  get slowestMs(): number {
    let slowest = 0
    for (const [key, { atMs }] of this.#accepted) {
      const handled = this.#handled.get(key)
      if (handled !== undefined) slowest = Math.max(slowest, handled.firstAtMs - atMs)
    }
    return slowest
  }
}

const keyOf = (by: string, id: string): string => `${by} ${id}`

import type { AgentPort } from '../agent-port.ts'

export interface Offer {
  readonly capabilities: readonly string[]
  readonly capacity: number
  readonly load: number
}

/** What this agent shows of itself: all that its parts can do, and the sums of their room and load. */
export class Offers {
  readonly #port: AgentPort
  readonly #parts = new Map<string, Offer>()

  constructor(port: AgentPort) {
    this.#port = port
  }

  /** Throws what the node says. The next change says all of it again. */
  async set(part: string, offer: Offer): Promise<void> {
    const before = this.#parts.get(part)
    if (before !== undefined && before.load === offer.load && before.capacity === offer.capacity) return
    this.#parts.set(part, offer)
    const all = [...this.#parts.values()]
    await this.#port.describe({
      capabilities: [...new Set(all.flatMap(({ capabilities }) => capabilities))],
      capacity: all.reduce((sum, { capacity }) => sum + capacity, 0),
      load: all.reduce((sum, { load }) => sum + load, 0),
    })
  }
}

import type { AgentId } from '@sealmesh/protocol/ids'

/** A letter of another machine that is or was in an inbox here. */
export interface Mark {
  readonly sender: AgentId
  readonly recipient: AgentId
  readonly id: string
  /** By the wall clock: afterwards a copy is refused for its age. */
  readonly endsAtMs: number
  /** It is on disk as well. */
  readonly durable: boolean
}

/** Of one sender: four times what its machine has under way for it. */
const MARKS_MAX = 8_192

/** Which letters of other machines have been taken, so that none comes into an inbox twice. */
export class Taken {
  /** By sender, so that nobody drives out the marks of another; oldest first. */
  readonly #marks = new Map<AgentId, Map<string, Mark>>()

  has(sender: AgentId, recipient: AgentId, id: string): boolean {
    return this.#marks.get(sender)?.has(`${recipient} ${id}`) === true
  }

  /** Gives what has to make room. */
  add(mark: Mark): Mark | undefined {
    const own = this.#marks.get(mark.sender) ?? new Map<string, Mark>()
    this.#marks.set(mark.sender, own)
    own.set(`${mark.recipient} ${mark.id}`, mark)
    if (own.size <= MARKS_MAX) return undefined
    const [oldest] = own
    if (oldest === undefined) return undefined
    own.delete(oldest[0])
    return oldest[1]
  }

  /** Takes out those whose letters are over. */
  expire(nowMs: number): Mark[] {
    const gone: Mark[] = []
    for (const [sender, own] of this.#marks) {
      for (const [key, mark] of own) {
        if (mark.endsAtMs > nowMs) continue
        own.delete(key)
        gone.push(mark)
      }
      if (own.size === 0) this.#marks.delete(sender)
    }
    return gone
  }
}

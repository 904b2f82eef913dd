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
/** Of all; some 120 bytes each. */
const ALL_MARKS_MAX = 65_536

/** When the marks of one sender end, by recipient and id; the oldest first. */
interface Own {
  readonly durable: Map<string, number>
  readonly others: Map<string, number>
}

/** Which letters of other machines have been taken, so that none comes into an inbox twice. */
export class Taken {
  readonly #own = new Map<AgentId, Own>()
  /** Their numbers stand for them: an id of 64 characters in every mark would be half of it. */
  readonly #recipients: AgentId[] = []
  readonly #numbers = new Map<AgentId, number>()
  #size = 0

  get size(): number {
    return this.#size
  }

  has(sender: AgentId, recipient: AgentId, id: string): boolean {
    const own = this.#own.get(sender)
    const number = this.#numbers.get(recipient)
    if (own === undefined || number === undefined) return false
    const key = keyOf(number, id)
    return own.durable.has(key) || own.others.has(key)
  }

  /** Gives what has to make room: an older mark of the same sender, or of whoever has the most. */
  add({ sender, recipient, id, endsAtMs, durable }: Mark): Mark | undefined {
    const own = this.#own.get(sender) ?? { durable: new Map<string, number>(), others: new Map<string, number>() }
    this.#own.set(sender, own)
    const before = sizeOf(own)
    const marks = durable ? own.durable : own.others
    marks.set(keyOf(this.#numberOf(recipient), id), endsAtMs)
    this.#size += sizeOf(own) - before
    if (sizeOf(own) > MARKS_MAX) return this.#dropOldest(sender, own)
    return this.#size > ALL_MARKS_MAX ? this.#dropOldest(...this.#largest(sender, own)) : undefined
  }

  /** Takes out those whose letters are over. */
  expire(nowMs: number): Mark[] {
    const gone: Mark[] = []
    for (const [sender, own] of this.#own)
      for (const [marks, durable] of [[own.durable, true] as const, [own.others, false] as const])
        for (const [key, endsAtMs] of marks)
          if (endsAtMs <= nowMs) gone.push(this.#drop(sender, marks, key, { endsAtMs, durable }))
    return gone
  }

  /** What is not on disk goes first: its letters are sent again for half a minute only. */
  #dropOldest(sender: AgentId, { durable, others }: Own): Mark | undefined {
    const [other] = others
    if (other !== undefined) return this.#drop(sender, others, other[0], { endsAtMs: other[1], durable: false })
    const [kept] = durable
    if (kept !== undefined) return this.#drop(sender, durable, kept[0], { endsAtMs: kept[1], durable: true })
    return undefined
  }

  #drop(sender: AgentId, marks: Map<string, number>, key: string, end: Pick<Mark, 'endsAtMs' | 'durable'>): Mark {
    marks.delete(key)
    this.#size -= 1
    const own = this.#own.get(sender)
    if (own !== undefined && sizeOf(own) === 0) this.#own.delete(sender)
    const blank = key.indexOf(' ')
    const recipient = this.#recipients[Number(key.slice(0, blank))] as AgentId
    return { sender, recipient, id: key.slice(blank + 1), ...end }
  }

  #largest(sender: AgentId, own: Own): [AgentId, Own] {
    let most: [AgentId, Own] = [sender, own]
    for (const each of this.#own) if (sizeOf(each[1]) > sizeOf(most[1])) most = each
    return most
  }

  #numberOf(recipient: AgentId): number {
    const known = this.#numbers.get(recipient)
    if (known !== undefined) return known
    this.#numbers.set(recipient, this.#recipients.length)
    return this.#recipients.push(recipient) - 1
  }
}

const keyOf = (recipient: number, id: string): string => `${recipient} ${id}`

const sizeOf = ({ durable, others }: Own): number => durable.size + others.size

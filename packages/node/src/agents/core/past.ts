import type { Message } from '@sealmesh/protocol/messages/message'

const MESSAGES_MAX = 512
const BYTES_MIN = 8_192
/** More than twice the longest message. */
const BYTES_MAX = 524_288

export interface PastFilter {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly type?: string | undefined
  readonly correlation?: string | undefined
  readonly limit: number
}

/**
 * The latest messages that one agent has sent and got, as bytes in a ring: as objects they would be copied about by
 * the garbage collector at every few thousand messages, which costs more than all else that is done with them.
 *
 * Those of this lap lie from the start of the ring to `#at`, what is left of the lap before behind it; `#kept` is in
 * the order in which they came.
 */
export class Past {
  #ring = Buffer.alloc(0)
  #at = 0
  #kept: { readonly from: number; readonly to: number }[] = []
  #first = 0

  /** `text`: a message as JSON. What is longer than the ring is not kept, nor what was before it. */
  add(text: string): void {
    const end = this.#write(text)
    if (end === undefined) return
    const from = this.#at
    while (this.#first < this.#kept.length && overlaps(this.#kept[this.#first], from, end)) this.#first += 1
    this.#kept.push({ from, to: end })
    this.#at = end
    if (this.#kept.length - this.#first > MESSAGES_MAX) this.#first += 1
    if (this.#first < MESSAGES_MAX) return
    this.#kept = this.#kept.slice(this.#first)
    this.#first = 0
  }

  /** The latest first. `from` without a machine means that agent on any. */
  find(filter: PastFilter): Message[] {
    const found: Message[] = []
    for (let at = this.#kept.length - 1; at >= this.#first && found.length < filter.limit; at--) {
      const place = this.#kept[at]
      if (place === undefined) continue
      const message = JSON.parse(this.#ring.toString('utf8', place.from, place.to)) as Message
      if (matches(message, filter)) found.push(message)
    }
    return found
  }

  /** Where it ends, from `#at` on; a ring that is full grows, and begins a lap when it must not. */
  #write(text: string): number | undefined {
    const bytes = Buffer.byteLength(text)
    while (bytes > this.#ring.length - this.#at) {
      if (this.#ring.length < BYTES_MAX) this.#grow()
      else if (this.#at > 0) this.#beginLap()
      else return this.#forget()
    }
    return this.#at + this.#ring.write(text, this.#at)
  }

  /** The try has written over all of it. */
  #forget(): undefined {
    this.#kept = []
    this.#first = 0
  }

  /** Only in the first lap: later ones begin when it has its full size. */
  #grow(): void {
    const larger = Buffer.alloc(Math.min(BYTES_MAX, Math.max(BYTES_MIN, 2 * this.#ring.length)))
    larger.set(this.#ring)
    this.#ring = larger
  }

  #beginLap(): void {
    while ((this.#kept[this.#first]?.from ?? 0) >= this.#at) this.#first += 1
    this.#at = 0
  }
}

const overlaps = (place: { from: number; to: number } | undefined, from: number, to: number): boolean =>
  place !== undefined && place.from < to && from < place.to

const matches = (message: Message, { from, to, type, correlation }: PastFilter): boolean =>
  (from === undefined || isNamed(message.from, from)) &&
  (to === undefined || isNamed(message.to, to)) &&
  (type === undefined || message.type === type) &&
  (correlation === undefined || message.correlation === correlation)

const isNamed = (address: string, name: string): boolean => address === name || address.startsWith(`${name}@`)

import type { Message } from '@sealmesh/protocol/messages/message'

const MESSAGES_MAX = 512
const BYTES_MIN = 8_192
/** More than twice the longest message. */
const BYTES_MAX = 524_288
const NOTHING = new Uint32Array(0)

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
 * Those of this lap lie from the start of the ring to `#at`, what is left of the lap before behind it; `#places` is in
 * the order in which they came.
 */
export class Past {
  #ring = Buffer.alloc(0)
  #at = 0
  /** `from` and `to` of each that is kept, in a ring as well. */
  #places = NOTHING
  #first = 0
  #count = 0

  /** Of memory. */
  get bytes(): number {
    return this.#ring.length + this.#places.byteLength
  }

  /** `text`: a message as JSON. What is longer than the ring is not kept, nor what was before it. */
  add(text: string): void {
    const end = this.#write(text)
    if (end === undefined) return
    const from = this.#at
    while (this.#count > 0 && this.#from(0) < end && from < this.#to(0)) this.#drop()
    if (this.#count === MESSAGES_MAX) this.#drop()
    if (this.#places === NOTHING) this.#places = new Uint32Array(2 * MESSAGES_MAX)
    const place = 2 * ((this.#first + this.#count) % MESSAGES_MAX)
    this.#places[place] = from
    this.#places[place + 1] = end
    this.#count += 1
    this.#at = end
  }

  /** The latest first. `from` without a machine means that agent on any. */
  find(filter: PastFilter): Message[] {
    const found: Message[] = []
    for (let at = this.#count - 1; at >= 0 && found.length < filter.limit; at--) {
      const message = JSON.parse(this.#ring.toString('utf8', this.#from(at), this.#to(at))) as Message
      if (matches(message, filter)) found.push(message)
    }
    return found
  }

  #from(at: number): number {
    return this.#places[2 * ((this.#first + at) % MESSAGES_MAX)] ?? 0
  }

  #to(at: number): number {
    return this.#places[2 * ((this.#first + at) % MESSAGES_MAX) + 1] ?? 0
  }

  #drop(): void {
    this.#first = (this.#first + 1) % MESSAGES_MAX
    this.#count -= 1
  }

  /** Where it ends, from `#at` on. A ring that is full grows while it has room for fewer than it may keep. */
  #write(text: string): number | undefined {
    const bytes = Buffer.byteLength(text)
    while (bytes > this.#ring.length - this.#at) {
      const mayGrow = this.#ring.length < BYTES_MAX
      if (mayGrow && (this.#count < MESSAGES_MAX || this.#at === 0)) this.#grow()
      else if (this.#at > 0) this.#beginLap()
      else return this.#forget()
    }
    return this.#at + this.#ring.write(text, this.#at)
  }

  #forget(): undefined {
    this.#count = 0
  }

  #grow(): void {
    const larger = Buffer.alloc(Math.min(BYTES_MAX, Math.max(BYTES_MIN, 2 * this.#ring.length)))
    larger.set(this.#ring)
    this.#ring = larger
  }

  #beginLap(): void {
    while (this.#count > 0 && this.#from(0) >= this.#at) this.#drop()
    this.#at = 0
  }
}

const matches = (message: Message, { from, to, type, correlation }: PastFilter): boolean =>
  (from === undefined || isNamed(message.from, from)) &&
  (to === undefined || isNamed(message.to, to)) &&
  (type === undefined || message.type === type) &&
  (correlation === undefined || message.correlation === correlation)

const isNamed = (address: string, name: string): boolean => address === name || address.startsWith(`${name}@`)

/** Of everything that happened, in order and with its time: equal when two runs went the same way. */
export class TraceHash {
  #high = 0x811c9dc5
  #low = 0x1b873593

  add(what: string, atMs: number): void {
    for (let at = 0; at < what.length; at++) this.#mix(what.charCodeAt(at))
    this.#mix(Math.floor(atMs * 1_000))
  }

  get digest(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
  }

  #mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193)
    this.#low = Math.imul((this.#low << 5) ^ (this.#low >>> 27) ^ value, 0x5bd1e995)
  }
}

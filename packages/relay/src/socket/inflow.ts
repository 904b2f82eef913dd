/** What is read from, as ws has it. */
export interface Source {
  pause(): void
  resume(): void
}

/**
 * What one connection may bring in one turn of the loop. libuv reads from a socket that is never empty up to 32 times
 * before it looks at the next one: two mebibytes, for which everybody else would wait.
 */
const TURN_BYTES_MAX = 524_288

/** When a connection is read from: unless the core holds it back, and until it has had its share of the turn. */
export class Inflow {
  readonly #source: Source
  #turnBytes = 0
  #isHeld = false
  #rests = false

  constructor(source: Source) {
    this.#source = source
  }

  /** True for the first bytes of a turn: its end has to be told. */
  take(bytes: number): boolean {
    const isFirst = this.#turnBytes === 0
    this.#turnBytes += bytes
    if (this.#turnBytes >= TURN_BYTES_MAX && !this.#rests) {
      this.#rests = true
      this.#source.pause()
    }
    return isFirst
  }

  endTurn(): void {
    this.#turnBytes = 0
    if (!this.#rests) return
    this.#rests = false
    if (!this.#isHeld) this.#source.resume()
  }

  hold(): void {
    this.#isHeld = true
    this.#source.pause()
  }

  letGo(): void {
    this.#isHeld = false
    if (!this.#rests) this.#source.resume()
  }
}

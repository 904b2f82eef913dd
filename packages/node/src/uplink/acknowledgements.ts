/**
 * Turns acknowledgements in any order into the one number that a relay wants: everything up to it is safe. A packet
 * that nobody acknowledges holds the number back, and after a while the relay sends no more.
 */
export class Acknowledgements {
  #waiting: { readonly sequence: number; done: boolean }[] = []
  #safe = 0

  /** Call in the order of delivery. The result acknowledges; calling it again does nothing. */
  delivered(sequence: number): () => void {
    const entry = { sequence, done: false }
    this.#waiting.push(entry)
    return () => {
      entry.done = true
    }
  }

  /** The highest sequence before which nothing is missing. */
  get safe(): number {
    let done = 0
    while (this.#waiting[done]?.done === true) done += 1
    if (done > 0) {
      this.#safe = this.#waiting[done - 1]?.sequence ?? this.#safe
      this.#waiting.splice(0, done)
    }
    return this.#safe
  }
}

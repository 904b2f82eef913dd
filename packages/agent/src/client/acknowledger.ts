/** Places come in rising order and are done in any; the node is told up to where all are. */
export class Acknowledger {
  readonly #tell: (place: number) => void
  #open: { readonly place: number; done: boolean }[] = []
  #scheduled = false

  constructor(tell: (place: number) => void) {
    this.#tell = tell
  }

  /** Gives back what says that it is done. */
  came(place: number): () => void {
    const entry = { place, done: false }
    this.#open.push(entry)
    return () => {
      entry.done = true
      if (this.#scheduled || this.#open[0]?.done !== true) return
      this.#scheduled = true
      // What is done in one turn is told in one word.
      setImmediate(() => this.say())
    }
  }

  /** By itself at the end of the turn. */
  say(): void {
    this.#scheduled = false
    const first = this.#open.findIndex(({ done }) => !done)
    const done = this.#open.splice(0, first === -1 ? this.#open.length : first)
    const last = done.at(-1)
    if (last !== undefined) this.#tell(last.place)
  }
}

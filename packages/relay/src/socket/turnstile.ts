/**
 * So many in one turn of the loop. A thousand strangers who come at once would otherwise all be greeted before the
 * next packet of a node is looked at, and each takes as long as a dozen of these.
 */
const PER_TURN = 2

/** Does what it is given in order, at once while that is little, and over several turns when it is much. */
export class Turnstile {
  readonly #perTurn: number
  #waiting: (() => void)[] = []
  #done = 0
  #isTurning = false

  constructor(perTurn: number = PER_TURN) {
    this.#perTurn = perTurn
  }

  pass(act: () => void): void {
    if (!this.#isTurning) setImmediate(() => this.#turn())
    this.#isTurning = true
    if (this.#done < this.#perTurn && this.#waiting.length === 0) {
      this.#done += 1
      act()
    } else this.#waiting.push(act)
  }

  #turn(): void {
    const acts = this.#waiting.slice(0, this.#perTurn)
    this.#waiting = this.#waiting.slice(acts.length)
    this.#done = acts.length
    if (acts.length > 0) setImmediate(() => this.#turn())
    this.#isTurning = acts.length > 0
    for (const act of acts) act()
  }
}

/** How long things took, in steps of a tenth or less: 400 counters, whatever is counted. Milliseconds. */

const STEPS_PER_DOUBLING = 8
/** A microsecond. */
const LEAST_MS = 0.001
const STEPS = 50 * STEPS_PER_DOUBLING

export class Durations {
  readonly #steps = new Uint32Array(STEPS)
  #count = 0

  get count(): number {
    return this.#count
  }

  add(ms: number): void {
    const step = Math.floor(Math.log2(Math.max(ms, LEAST_MS) / LEAST_MS) * STEPS_PER_DOUBLING)
    const at = Math.min(step, STEPS - 1)
    this.#steps[at] = (this.#steps[at] ?? 0) + 1
    this.#count += 1
  }

  addAll(others: Durations): void {
    for (let at = 0; at < STEPS; at++) this.#steps[at] = (this.#steps[at] ?? 0) + (others.#steps[at] ?? 0)
    this.#count += others.#count
  }

  clear(): void {
    if (this.#count === 0) return
    this.#steps.fill(0)
    this.#count = 0
  }

  /** The longest of that share of them, rounded up to its step; null where there are none. */
  quantile(share: number): number | null {
    if (this.#count === 0) return null
    let left = Math.max(1, Math.ceil(share * this.#count))
    for (let at = 0; at < STEPS; at++) {
      left -= this.#steps[at] ?? 0
      if (left <= 0) return LEAST_MS * 2 ** ((at + 1) / STEPS_PER_DOUBLING)
    }
    return null
  }
}

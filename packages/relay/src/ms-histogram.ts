/** Upper ends in milliseconds, from a fraction of one turn to a disk that hangs. */
const BUCKETS_MS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000] as const

/** Counts durations by size. It is fed for every packet, so it is a few additions and makes no object. */
export class MsHistogram {
  readonly #counts = new Float64Array(BUCKETS_MS.length + 1)
  #sum = 0

  observe(ms: number): void {
    let at = 0
    while (at < BUCKETS_MS.length && ms > (BUCKETS_MS[at] ?? 0)) at++
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#sum += ms
  }

  /** As Prometheus wants it: each bucket holds those before it. */
  read(): { buckets: { le: number; count: number }[]; count: number; sum: number } {
    let count = 0
    const buckets = BUCKETS_MS.map((le, at) => {
      count += this.#counts[at] ?? 0
      return { le, count }
    })
    return { buckets, count: count + (this.#counts[BUCKETS_MS.length] ?? 0), sum: this.#sum }
  }
}

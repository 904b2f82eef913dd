/** Kept: enough for a median, and a minute of a busy agent. */
const KEPT_MAX = 2_048
/** What counts as before a drill. */
const BEFORE_MS = 60_000

/** How long this node's own writes took until they were durable. */
export class CommitTimes {
  readonly #monotonicMs: () => number
  #took: { readonly atMs: number; readonly tookMs: number }[] = []

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs
  }

  readonly note = (tookMs: number): void => {
    this.#took.push({ atMs: this.#monotonicMs(), tookMs })
    if (this.#took.length >= 2 * KEPT_MAX) this.#took = this.#took.slice(-KEPT_MAX)
  }

  /** Medians in whole microseconds, of the minute before a moment and since then. */
  around(momentMs: number): { beforeUs: number; beforeCount: number; duringUs: number; duringCount: number } {
    const before = this.#took.filter(({ atMs }) => atMs < momentMs && atMs >= momentMs - BEFORE_MS)
    const during = this.#took.filter(({ atMs }) => atMs >= momentMs)
    return {
      beforeUs: medianUs(before),
      beforeCount: before.length,
      duringUs: medianUs(during),
      duringCount: during.length,
    }
  }
}

/** Tells `note` how long it took, and changes nothing. */
export function timed<T>(work: Promise<T>, note: ((tookMs: number) => void) | undefined): Promise<T> {
  if (note === undefined) return work
  const fromMs = performance.now()
  work.then(
    () => note(performance.now() - fromMs),
    () => undefined,
  )
  return work
}

function medianUs(all: readonly { readonly tookMs: number }[]): number {
  const sorted = all.map(({ tookMs }) => tookMs).toSorted((a, b) => a - b)
  return Math.round((sorted[sorted.length >> 1] ?? 0) * 1_000)
}

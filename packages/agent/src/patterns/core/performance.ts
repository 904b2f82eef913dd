/** How an agent has done so far, as this agent has seen it: exponential averages. */
export interface Performance {
  readonly latencyMs: number
  /** 0 to 1. */
  readonly failures: number
}

/** By agent, the one heard of longest ago first. */
export type PerformanceBook = ReadonlyMap<string, Performance>

/** The agents that one asks within a while; who has been forgotten starts as a stranger does. */
export const BOOK_MAX = 256
/** Of the newest sample: some five of them say how it is now. */
const WEIGHT = 0.3

/** `tookMs` null: nothing came, so that there is no latency to learn. */
export function learn(
  book: PerformanceBook,
  agent: string,
  sample: { readonly ok: boolean; readonly tookMs: number | null },
): PerformanceBook {
  const before = book.get(agent)
  const failed = sample.ok ? 0 : 1
  const latencyMs =
    sample.tookMs === null
      ? (before?.latencyMs ?? 0)
      : before === undefined
        ? sample.tookMs
        : mixed(before.latencyMs, sample.tookMs)
  const next = new Map(book)
  next.delete(agent)
  next.set(agent, { latencyMs, failures: mixed(before?.failures ?? 0, failed) })
  for (const oldest of next.keys()) {
    if (next.size <= BOOK_MAX) break
    next.delete(oldest)
  }
  return next
}

const mixed = (average: number, sample: number): number => average * (1 - WEIGHT) + sample * WEIGHT

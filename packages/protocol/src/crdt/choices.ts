import type { Entry } from './register.ts'

/** One of the values that a register holds at the same time, and everybody who wrote it. */
export interface Choice {
  /** Undefined: deleted. */
  readonly value: string | undefined
  /** The first as reading orders them. */
  readonly writes: readonly Entry[]
}

/**
 * A register's siblings by what they say, the winner's value first (docs/spec/03-blocks.md §7). Two machines that
 * wrote the same leave one choice, so no conflict: the state keeps both writes, and only reading takes them together.
 */
export function choicesOf(siblings: readonly Entry[]): Choice[] {
  const byValue = new Map<string | undefined, Entry[]>()
  for (const entry of siblings) {
    const same = byValue.get(entry.value)
    if (same === undefined) byValue.set(entry.value, [entry])
    else same.push(entry)
  }
  return [...byValue].map(([value, writes]) => ({ value, writes }))
}

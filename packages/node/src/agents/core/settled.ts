import type { TraceEntry } from './trace-book.ts'

/** How far a message to one agent has come. */
export type Settled = 'waiting' | 'taken' | 'acknowledged' | 'refused' | 'expired' | 'dropped'

/** Of what is known of one message: done with is done with, whatever was said of a copy of it. */
export function settledOf(events: Iterable<Pick<TraceEntry, 'event'>>): Settled {
  const seen = new Set([...events].map(({ event }) => event))
  if (seen.has('acknowledged')) return 'acknowledged'
  for (const end of ['refused', 'expired', 'dropped'] as const) if (seen.has(end)) return end
  return seen.has('taken') || seen.has('handed') ? 'taken' : 'waiting'
}

/** Nothing more that is waited for will come. */
export const isReached = (settled: Settled, level: 'taken' | 'acknowledged'): boolean =>
  settled !== 'waiting' && (settled !== 'taken' || level === 'taken')

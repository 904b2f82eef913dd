/**
 * The same work for both systems: writers set keys round and round, each its own keys, each value naming its run,
 * its writer and its index. What a writer sends, the observer on the other machine sees in the same order.
 */

export const KEYS = 1_000
export const VALUE_BYTES = 100
/** Writes that go together: one `set.many` call here, one Yjs transaction there. */
export const BATCH = 64
/**
 * Writes of one writer that the other side has not shown yet. Of 1,024, 4,096 and 16,384 the one with which the rival's
 * single writer is fastest.
 */
export const WINDOW = 4_096
export const WRITES = 60_000
export const WARM_UP_WRITES = 20_000
export const PACED_PER_SECOND = 100
export const PACED_WRITES = 1_000

export interface Burst {
  readonly run: number
  readonly writers: number
  readonly writesPerWriter: number
  readonly batch: number
  readonly window: number
}

export interface Seen {
  readonly run: number
  readonly writer: number
  readonly index: number
}

export const keyOf = (writers: number, writer: number, index: number): string =>
  `fact-${writer}-${index % Math.floor(KEYS / writers)}`

export const valueOf = (seen: Seen): string => `${seen.run}.${seen.writer}.${seen.index}.`.padEnd(VALUE_BYTES, 'x')

export function readValue(value: string): Seen | undefined {
  const [run, writer, index, rest] = value.split('.')
  if (rest === undefined) return undefined
  return { run: Number(run), writer: Number(writer), index: Number(index) }
}

/** One clock for all processes of this machine, in milliseconds. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6

export type ToWriter =
  | { type: 'burst'; burst: Burst }
  | { type: 'paced'; run: number; writes: number; everyMs: number }
  | { type: 'seen'; writer: number; index: number }
  | { type: 'rest' }
  | { type: 'stop' }

export type FromWriter =
  | { type: 'ready' }
  | { type: 'rested' }
  | { type: 'done'; run: number; startedMs: number; sentMs: number[] }

export type ToObserver = { type: 'expect'; run: number } | { type: 'report' } | { type: 'rest' } | { type: 'stop' }

export type FromObserver =
  | { type: 'ready' }
  | { type: 'rested' }
  /** From now on the expected run is what it looks for. */
  | { type: 'expecting'; run: number }
  /** The newest index of each writer that moved since the last message, and when it was visible. */
  | { type: 'seen'; run: number; newest: [writer: number, index: number][]; atMs: number }
  /** When each index of writer 0 became visible, and what every key ended with. */
  | { type: 'report'; seenMs: number[]; last: [key: string, writer: number, index: number][] }

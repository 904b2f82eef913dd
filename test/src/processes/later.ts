import { builtOf } from './doubles.ts'

export const DAY_MS = 24 * 60 * 60_000

/** The environment of a process whose wall clock is that much ahead: weeks pass between two starts. */
export const later = (ms: number): Record<string, string> => ({
  NODE_OPTIONS: `--no-warnings --import=${builtOf(new URL('./clock-shift.ts', import.meta.url))}`,
  SEALMESH_TEST_CLOCK_SHIFT_MS: String(ms),
})

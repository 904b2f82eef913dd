const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
/** A machine that sleeps at the hour gets so long before anybody is told. */
const GRACE_MIN_MS = 30 * MINUTE_MS

export interface Plan {
  readonly everyMs: number
  /** Local minutes after midnight; null: at any time. Only with days between. */
  readonly atMinutes: number | null
}

/**
 * When a drill is due, in ms since 1970. `lastMs`: when the last one ended, or since when there is a plan and none has
 * been. With a time of day it is the first such moment that lies at least about the interval later.
 */
export function dueAt({ everyMs, atMinutes }: Plan, lastMs: number, hadOne: boolean): number {
  if (atMinutes === null) return hadOne ? lastMs + everyMs : lastMs
  const from = hadOne ? lastMs + everyMs - DAY_MS / 2 : lastMs
  const at = new Date(from)
  at.setHours(Math.floor(atMinutes / 60), atMinutes % 60, 0, 0)
  // By the calendar, since a day may have 23 or 25 hours.
  if (at.getTime() < from) at.setDate(at.getDate() + 1)
  return at.getTime()
}

/** From here on people are told that it did not happen. */
export const overdueFrom = ({ everyMs }: Plan, dueMs: number): number => dueMs + Math.max(GRACE_MIN_MS, everyMs / 4)

const UNITS = { ms: 1, s: 1_000, m: MINUTE_MS, h: 60 * MINUTE_MS, d: DAY_MS } as const
export const DURATION = '[1-9][0-9]{0,8}(?:ms|s|m|h|d)'
export const TIME_OF_DAY = '(?:[01][0-9]|2[0-3]):[0-5][0-9]'

/** `90s`, `1d`; undefined for anything else. */
export function durationMs(text: string): number | undefined {
  const [, number = '', unit = ''] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? []
  return unit === '' ? undefined : Number(number) * UNITS[unit as keyof typeof UNITS]
}

export function minutesOf(time: string): number {
  const [hours = '0', minutes = '0'] = time.split(':')
  return Number(hours) * 60 + Number(minutes)
}

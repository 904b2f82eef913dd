import { InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../history/moment.ts'

/** Seconds without a unit, as every other tool's `--timeout`. */
export function parseTimeout(text: string): number {
  const ms = /^\d{1,6}(\.\d+)?$/.test(text)
    ? Number(text) * 1_000
    : /^\d{1,8}ms$/.test(text)
      ? Number(text.slice(0, -2))
      : parseDuration(text)
  if (ms === undefined || ms > 86_400_000)
    throw new InvalidArgumentError('It is a time of up to a day: 30, 90s, 10m, 2h.')
  return Math.round(ms)
}

/** One with a default, which the help shows as a user would type it: a bare number is seconds. */
export const timeoutOption = (flags: string, description: string, ms: number): Option =>
  new Option(flags, description).argParser(parseTimeout).default(ms, `${ms / 1_000}s`)

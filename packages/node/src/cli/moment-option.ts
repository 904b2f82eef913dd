import { InvalidArgumentError } from 'commander'
import { parseMoment } from '../history/moment.ts'

/** For commander: a moment that is not still to come. */
export function momentOption(text: string): number {
  const nowMs = Date.now()
  const ms = parseMoment(text, nowMs)
  if (ms === undefined)
    throw new InvalidArgumentError('It is a time: 2026-11-20T14:03:05, 2026-11-20, 14:03 of today, or 10m, 2h, 3d ago.')
  if (ms > nowMs) throw new InvalidArgumentError('That is still to come.')
  return ms
}

/**
 * Moments as people type them: ISO 8601 (`2026-11-20T14:03:05Z`; without a zone, and with a space for the T, in local
 * time), a day (`2026-11-20`, its beginning), a time of today (`14:03`), or how long ago (`10m`, `2h30m`, `3d`).
 * Undefined for anything else.
 */
export function parseMoment(text: string, nowMs: number): number | undefined {
  const trimmed = text.trim()
  const ago = parseDuration(trimmed.replace(/ ago$/, ''))
  if (ago !== undefined) return nowMs - ago
  const clock = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(trimmed)
  if (clock !== null) {
    const [hours, minutes, seconds] = [Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 0)]
    if (hours > 23 || minutes > 59 || seconds > 59) return undefined
    return new Date(nowMs).setHours(hours, minutes, seconds, 0)
  }
  const day = /^\d{4}-\d{2}-\d{2}$/.test(trimmed) ? `${trimmed}T00:00` : trimmed
  if (!/^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?$/.test(day)) return undefined
  const ms = Date.parse(day.replace(' ', 'T'))
  return Number.isNaN(ms) ? undefined : ms
}

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
}

/** `90s`, `10m`, `2h30m`, `3d`. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d{1,9}(s|min|m|h|d|w))+$/.test(text)) return undefined
  let ms = 0
  for (const [, number = '0', unit = ''] of text.matchAll(/(\d+)(s|min|m|h|d|w)/g))
    ms += Number(number) * (UNITS_MS[unit] ?? 0)
  return ms
}

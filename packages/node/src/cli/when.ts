/** Times for people: how long ago, coarse, since clocks of two machines differ anyway. */
export function ago(iso: string | null, nowMs: number): string {
  if (iso === null) return 'never'
  return `${span(nowMs - Date.parse(iso))} ago`
}

export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 48 * 3_600) return `${Math.floor(seconds / 3_600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** Local date and minute, as `ls -l` does: `2026-11-20 14:03`. */
export function moment(iso: string | null): string {
  if (iso === null) return '-'
  const at = new Date(iso)
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`
}

/** The same with seconds, for what lasts no longer than minutes. */
export const second = (iso: string): string => `${moment(iso)}:${String(new Date(iso).getSeconds()).padStart(2, '0')}`

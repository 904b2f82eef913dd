/**
 * What this process has seen of one mesh's traffic: how many packets in which hour of the last week, and how large.
 * It is what the page for the owner says (docs/relay/what-it-sees.md), and is written nowhere.
 */
export interface Sightings {
  packets: number
  bytes: number
  /** The hour that was counted last, since 1970. */
  hour: number
  /** Packets by hour, at the hour modulo a week. */
  readonly hours: Uint32Array
  /** Packets by size: at most 512 B, then twice as much each. */
  readonly sizes: Float64Array
}

const HOUR_MS = 3_600_000
const HOURS_KEPT = 7 * 24
const SMALLEST_CLASS_BITS = 9
/** The last holds a frame's 256 KiB. */
const SIZE_CLASSES = 10

export const newSightings = (): Sightings => ({
  packets: 0,
  bytes: 0,
  hour: 0,
  hours: new Uint32Array(HOURS_KEPT),
  sizes: new Float64Array(SIZE_CLASSES),
})

/** Called for every packet: a few additions. */
export function sight(seen: Sightings, bytes: number, nowMs: number): void {
  const hour = Math.floor(nowMs / HOUR_MS)
  if (hour !== seen.hour) turnTo(seen, hour)
  const slot = hour % HOURS_KEPT
  seen.hours[slot] = (seen.hours[slot] ?? 0) + 1
  const size = Math.min(SIZE_CLASSES - 1, 32 - Math.clz32((bytes - 1) >>> SMALLEST_CLASS_BITS))
  seen.sizes[size] = (seen.sizes[size] ?? 0) + 1
  seen.packets += 1
  seen.bytes += bytes
}

/** Packets of the last week by hour, the oldest first. The last hour is the one of `nowMs`. */
export function hoursUntil(seen: Sightings, nowMs: number): number[] {
  const hour = Math.floor(nowMs / HOUR_MS)
  return Array.from({ length: HOURS_KEPT }, (_, at) => {
    const asked = hour - HOURS_KEPT + 1 + at
    return asked > seen.hour || asked <= seen.hour - HOURS_KEPT ? 0 : (seen.hours[asked % HOURS_KEPT] ?? 0)
  })
}

/** Packets by size, the smallest first: `bytesMax` is the largest of its class. */
export const sizesOf = (seen: Sightings): { bytesMax: number; packets: number }[] =>
  Array.from(seen.sizes, (packets, at) => ({ bytesMax: 2 ** (SMALLEST_CLASS_BITS + at), packets }))

/** Hours without a packet between the last one and this hold those of a week before. A clock set back counts as now. */
function turnTo(seen: Sightings, hour: number): void {
  if (hour < seen.hour || hour - seen.hour >= HOURS_KEPT) seen.hours.fill(0)
  else for (let at = seen.hour + 1; at <= hour; at++) seen.hours[at % HOURS_KEPT] = 0
  seen.hour = hour
}

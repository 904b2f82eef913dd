import { isHex } from '@sealmesh/protocol/bytes'
import { BEACON_BYTES } from './direct-key.ts'

/** What a node says of itself on the LAN (DNS-SD, RFC 6763): that something listens, and what only members can read. */
export const SERVICE = '_sealmesh._tcp.local'

/** Random, another one at each start: it names nobody. */
export const INSTANCE_BYTES = 8

export interface Announcement {
  readonly instance: string
  readonly port: number
  /** `beaconOf`. */
  readonly beacon: string
}

/** A DNS record, as the library gives it. */
export interface LanRecord {
  readonly name: string
  readonly type: string
  readonly data?: unknown
}

const TTL_SECONDS = 120
/** Of one message; ours have three. */
const RECORDS_MAX = 16
const TEXT_BYTES_MAX = 255

/** No address is among them: who hears it knows where it came from. */
export function recordsOf({ instance, port, beacon }: Announcement) {
  const name = `${instance}.${SERVICE}`
  return [
    { name: SERVICE, type: 'PTR' as const, ttl: TTL_SECONDS, data: name },
    { name, type: 'SRV' as const, ttl: TTL_SECONDS, data: { port, target: `${instance}.local` } },
    { name, type: 'TXT' as const, ttl: TTL_SECONDS, data: ['v=1', `b=${beacon}`] },
  ]
}

/** A stranger's records in. Never throws. */
export function announcementIn(records: readonly LanRecord[]): Announcement | undefined {
  const few = records.slice(0, RECORDS_MAX)
  for (const { name, type, data } of few) {
    const instance = type === 'SRV' && name.endsWith(`.${SERVICE}`) ? name.slice(0, -SERVICE.length - 1) : ''
    if (!isHex(instance, INSTANCE_BYTES)) continue
    const port = typeof data === 'object' && data !== null && 'port' in data ? data.port : undefined
    if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) continue
    const beacon = beaconIn(few.find((each) => each.type === 'TXT' && each.name === name)?.data)
    if (beacon !== undefined) return { instance, port, beacon }
  }
  return undefined
}

function beaconIn(data: unknown): string | undefined {
  const texts: readonly unknown[] = Array.isArray(data) ? data.slice(0, RECORDS_MAX) : [data]
  const words = texts.map((text) =>
    text instanceof Uint8Array ? String.fromCharCode(...text.subarray(0, TEXT_BYTES_MAX)) : text,
  )
  const word = words.find((each): each is string => typeof each === 'string' && each.startsWith('b='))
  const beacon = word?.slice(2)
  return beacon !== undefined && isHex(beacon, BEACON_BYTES) ? beacon : undefined
}

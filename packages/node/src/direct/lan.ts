import { isIPv4 } from 'node:net'
import { toHex } from '@sealmesh/protocol/bytes'
import { mailboxDay } from '@sealmesh/protocol/envelope/daily-mailboxes'
import type { MulticastDNS, Options } from 'multicast-dns'
import type { Logger } from 'pino'
import {
  type Announcement,
  announcementIn,
  INSTANCE_BYTES,
  type LanRecord,
  recordsOf,
  SERVICE,
} from './core/announcement.ts'
import { beaconOf } from './core/direct-key.ts'
import { FOUND_MAX, LOOK_EVERY_MS } from './core/direct-limits.ts'
import { LanWatch } from './core/lan-watch.ts'
import type { Dialler } from './dialler.ts'
import type { Members } from './members.ts'

export interface LanDeps {
  readonly members: Members
  readonly dialler: Dialler
  /** Where this node listens; null while it does not, and then it only looks. */
  readonly listening: { readonly host: string; readonly port: number } | null
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  readonly monotonicMs: () => number
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** For tests; the port of mDNS otherwise. */
  readonly port?: number
}

/** A second look at those who had not joined the group yet when we asked first. */
const LOOK_SOON_MS = [1_000, 4_000]

/**
 * Members on the LAN, by multicast DNS (docs/spec/18-direct-links.md §5). What is found is dialled as what the config
 * names is; what is announced says nothing to anybody else but that somebody listens.
 */
export class Lan {
  readonly #deps: LanDeps
  readonly #dns: MulticastDNS
  readonly #instance: string
  readonly #watch: LanWatch
  readonly #timers: NodeJS.Timeout[] = []
  /** Null while it works. */
  failure: 'ADDRESS_UNAVAILABLE' | null = null

  private constructor(deps: LanDeps, dns: MulticastDNS) {
    this.#deps = deps
    this.#dns = dns
    this.#instance = toHex(deps.random(INSTANCE_BYTES))
    this.#watch = new LanWatch(this.#instance)
    dns.on('error', (error: Error) => this.#failed(error))
    // A message that cannot be read, an interface without multicast: others' affairs.
    dns.on('warning', () => undefined)
    dns.on('response', ({ answers, additionals }, { address }) =>
      this.#heard([...(answers ?? []), ...(additionals ?? [])], address),
    )
    dns.on('query', ({ questions }) => {
      const isForUs = questions?.some(({ name, type }) => name === SERVICE && type === 'PTR') === true
      if (isForUs && this.#watch.mayAnnounce(deps.monotonicMs())) this.#announce()
    })
    dns.on('ready', () => this.#look())
    for (const ms of LOOK_SOON_MS) this.#timers.push(setTimeout(() => this.#look(), ms).unref())
    this.#timers.push(setInterval(() => this.#look(), LOOK_EVERY_MS).unref())
  }

  static async open(deps: LanDeps): Promise<Lan> {
    const { default: makeDns } = await import('multicast-dns')
    const { listening, port } = deps
    // One that listens at one address announces itself on that network alone.
    const own: Options =
      listening !== null && isSingle(listening.host) ? { interface: listening.host, bind: '0.0.0.0' } : {}
    return new Lan(deps, makeDns({ ...own, ...(port === undefined ? {} : { port }) }))
  }

  close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    return new Promise((resolve) => this.#dns.destroy(() => resolve()))
  }

  #look(): void {
    if (this.failure !== null) return
    this.#dns.query([{ name: SERVICE, type: 'PTR' }])
    this.#announce()
  }

  #announce(): void {
    const { listening, members, now } = this.#deps
    if (listening === null || this.failure !== null) return
    const at = { instance: this.#instance, port: listening.port }
    const beacon = beaconOf(members.key, { ...at, day: mailboxDay(now()) }, members.sodium)
    const [pointer, ...additionals] = recordsOf({ ...at, beacon })
    this.#dns.respond({ answers: [pointer!], additionals })
  }

  #heard(records: readonly LanRecord[], address: string): void {
    const announcement = announcementIn(records)
    if (announcement === undefined || !isIPv4(address)) return
    const { dialler, monotonicMs } = this.#deps
    const url = `wss://${address}:${announcement.port}`
    const isWorthATry = this.#watch.isWorthATry(announcement, monotonicMs(), {
      isNew: () => !dialler.has(url) && dialler.found < FOUND_MAX,
      isMembers: () => this.#isMembers(announcement),
    })
    if (isWorthATry) dialler.add({ url, node: null, from: 'mdns' })
  }

  /** Clocks differ: those of yesterday and tomorrow count as well. */
  #isMembers({ instance, port, beacon }: Announcement): boolean {
    const { members, now } = this.#deps
    const today = mailboxDay(now())
    return [today, today - 1, today + 1].some(
      (day) => beaconOf(members.key, { day, instance, port }, members.sodium) === beacon,
    )
  }

  #failed(error: Error): void {
    this.failure = 'ADDRESS_UNAVAILABLE'
    this.#deps.log.warn({ err: error }, 'machines on the LAN cannot be looked for')
  }
}

const isSingle = (host: string): boolean => isIPv4(host) && host !== '0.0.0.0'

import { fromHex } from '@sealmesh/protocol/bytes'
import { type NatsConnection, RequestError, type Subscription } from '@nats-io/transport-node'
import type { Nats } from './nats.ts'
import { bulkSubject, controlSubject } from './subjects.ts'
import { decodeTunnelMessage, encodeTunnelMessage, inMessages, type TunnelRecord } from './tunnel-codec.ts'

export interface PeersDeps {
  readonly nats: Nats
  /** This instance's id, hex. */
  readonly instance: string
  readonly onRecord: (sender: string, record: TunnelRecord) => void
  /** It is gone, or something of what it said or was told is lost: whatever runs between the two has ended. */
  readonly onLost: (peer: string) => void
  /** Whether anything runs between the two, so that it is worth asking after it. */
  readonly isNeeded: (peer: string) => boolean
}

const BEAT_MS = 2_000
const ASK_MS = 1_000
/** Times without an answer, one after another, after which an instance counts as dead. */
const SILENT_MAX = 3
const NOBODY_MAX = 2
const NOBODY_WAIT_MS = 300

/**
 * A message between relays costs the same for one record as for many. What is on the bulk lane therefore waits for
 * company: until so many bytes wait, or so long after the message before. Where there was none, it leaves at once.
 */
const COMPANY_BYTES = 4_096
const COMPANY_MS = 1

type Lane = 'control' | 'bulk'

interface Peer {
  readonly sent: Record<Lane, number>
  readonly heard: Record<Lane, number>
  readonly waiting: Record<Lane, TunnelRecord[]>
  /** Of the bulk lane: what waits, and when the last message left. */
  waitingBytes: number
  leftMs: number
  missed: number
}

/** The other instances of a cluster: what is told to them, gathered, and whether they are there. */
export class Peers {
  readonly #deps: PeersDeps
  readonly #self: Uint8Array
  readonly #peers = new Map<string, Peer>()
  readonly #dirty = new Set<string>()
  readonly #subscriptions: Subscription[] = []
  readonly #deaths = new Map<string, Promise<boolean>>()
  #flushing: NodeJS.Immediate | null = null
  #waiting: NodeJS.Timeout | null = null
  #beating: NodeJS.Timeout | null = null

  constructor(deps: PeersDeps) {
    this.#deps = deps
    this.#self = fromHex(deps.instance)
  }

  start(): void {
    const { nats, instance } = this.#deps
    const listen = (connection: NatsConnection, subject: string, lane: Lane): void => {
      const callback = (
        error: Error | null,
        message: { data: Uint8Array; reply?: string; respond(): boolean },
      ): void => {
        if (error !== null) return
        if (message.data.length === 0 && message.reply !== undefined) message.respond()
        else this.#hear(lane, message.data)
      }
      this.#subscriptions.push(connection.subscribe(subject, { callback }))
    }
    listen(nats.control, controlSubject(instance), 'control')
    listen(nats.bulk, bulkSubject(instance), 'bulk')
    this.#beating = setInterval(() => void this.#beat(), BEAT_MS)
  }

  stop(): void {
    if (this.#beating !== null) clearInterval(this.#beating)
    this.#flush(true)
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
  }

  /** Leaves at the end of the turn or soon after, with whatever else goes there. */
  tell(id: string, lane: Lane, record: TunnelRecord): void {
    const peer = this.#peer(id)
    peer.waiting[lane].push(record)
    if (lane === 'bulk') peer.waitingBytes += record.bytes.length
    this.#dirty.add(id)
    this.#flushing ??= setImmediate(() => this.#flush(false))
  }

  /** Asked a few times: within seconds where nothing answers, at once where it is there or nobody listens. */
  isDead(peer: string): Promise<boolean> {
    const asked = this.#deaths.get(peer)
    if (asked !== undefined) return asked
    const asking = this.#askUntilSure(peer).finally(() => this.#deaths.delete(peer))
    this.#deaths.set(peer, asking)
    return asking
  }

  async #askUntilSure(peer: string): Promise<boolean> {
    let nobody = 0
    for (let silent = 0; silent < SILENT_MAX; ) {
      const said = await this.#ask(peer)
      if (said === 'here') return false
      if (said === 'silent') silent += 1
      else if (++nobody >= NOBODY_MAX) return true
      else await new Promise((resolve) => setTimeout(resolve, NOBODY_WAIT_MS))
    }
    return true
  }

  async #ask(peer: string): Promise<'here' | 'nobody' | 'silent'> {
    try {
      await this.#deps.nats.control.request(controlSubject(peer), undefined, { timeout: ASK_MS })
      return 'here'
    } catch (error) {
      return error instanceof RequestError && error.isNoResponders() ? 'nobody' : 'silent'
    }
  }

  async #beat(): Promise<void> {
    // Only who is cut off itself hears nothing of anybody: then the links end all the same, after the same time.
    const asked = [...this.#peers].map(async ([id, peer]) => {
      if (!this.#deps.isNeeded(id)) return
      const said = await this.#ask(id)
      peer.missed = said === 'here' ? 0 : peer.missed + 1
      if (peer.missed >= (said === 'nobody' ? 1 : SILENT_MAX)) this.#lose(id)
    })
    await Promise.all(asked)
  }

  #hear(lane: Lane, bytes: Uint8Array): void {
    const decoded = decodeTunnelMessage(bytes)
    if (!decoded.ok) return
    const { sender, number, records } = decoded.value
    const peer = this.#peer(sender)
    const expected = peer.heard[lane] + 1
    peer.heard[lane] = number
    // NATS may lose what a slow or broken connection had in hand.
    if (number !== expected) this.#deps.onLost(sender)
    for (const record of records) this.#deps.onRecord(sender, record)
  }

  /** `all`: also what could have waited for more. */
  #flush(all: boolean): void {
    if (this.#flushing !== null) clearImmediate(this.#flushing)
    this.#flushing = null
    if (all && this.#waiting !== null) {
      clearTimeout(this.#waiting)
      this.#waiting = null
    }
    const nowMs = performance.now()
    for (const id of this.#dirty) {
      const peer = this.#peer(id)
      this.#send(id, peer, 'control')
      const isDue = all || peer.waitingBytes >= COMPANY_BYTES || nowMs - peer.leftMs >= COMPANY_MS
      if (!isDue && peer.waiting.bulk.length > 0) {
        this.#waiting ??= setTimeout(() => this.#flush(true), COMPANY_MS)
        continue
      }
      if (peer.waiting.bulk.length > 0) peer.leftMs = nowMs
      peer.waitingBytes = 0
      this.#send(id, peer, 'bulk')
      this.#dirty.delete(id)
    }
  }

  #send(id: string, peer: Peer, lane: Lane): void {
    if (peer.waiting[lane].length === 0) return
    const subject = lane === 'control' ? controlSubject(id) : bulkSubject(id)
    for (const records of inMessages(peer.waiting[lane].splice(0))) {
      peer.sent[lane] += 1
      this.#deps.nats[lane].publish(subject, encodeTunnelMessage(this.#self, peer.sent[lane], records))
    }
  }

  #lose(id: string): void {
    this.#peers.delete(id)
    this.#deps.onLost(id)
  }

  #peer(id: string): Peer {
    const known = this.#peers.get(id)
    if (known !== undefined) return known
    const fresh: Peer = {
      sent: { control: 0, bulk: 0 },
      heard: { control: 0, bulk: 0 },
      waiting: { control: [], bulk: [] },
      waitingBytes: 0,
      leftMs: Number.NEGATIVE_INFINITY,
      missed: 0,
    }
    this.#peers.set(id, fresh)
    return fresh
  }
}

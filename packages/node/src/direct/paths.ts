import type { FailureCode } from '@sealmesh/protocol/errors'
import { packetIdAt, readPacketHeader } from '@sealmesh/protocol/envelope/header'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { SyncLink } from '../sync/mesh-sync-deps.ts'
import type { LinkEvent } from '../uplink/link-event.ts'
import { HELD_BYTES_MAX } from './core/direct-limits.ts'
import { type DirectOffer, DirectOffers } from './core/direct-offers.ts'
import type { DirectEvent, DirectLink } from './direct-link.ts'
import type { DirectLinks } from './direct-links.ts'
import type { Members } from './members.ts'

export interface PathsDeps {
  readonly relays: { send(packet: Uint8Array, atOnce?: boolean): 'sent' | 'full' | 'down'; readonly isLive: boolean }
  readonly links: DirectLinks
  readonly members: Pick<Members, 'mailboxOf'>
  readonly monotonicMs: () => number
}

const LOOK_MS = 100
/** A link that comes and goes has peers compare heads no more often than they do anyway. */
const READ_AGAIN_MS = 10_000

/**
 * The relays and the direct links as one (docs/spec/18-direct-links.md §4): a packet goes to its reader's own link where
 * there is one that answers, else to the relays; and to these as well where that link does not answer in time.
 */
export class Paths implements SyncLink {
  readonly #deps: PathsDeps
  readonly #offers = new DirectOffers()
  /** What a direct link has not answered and the relays had no room for. */
  #owed: DirectOffer[] = []
  #owedBytes = 0
  #wasLive = false
  #readAtMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(deps: PathsDeps) {
    this.#deps = deps
    deps.links.onUp = () => this.#up()
    deps.links.onDown = (peer, reason) => this.#down(peer, reason)
    deps.links.onEvent = (peer, event) => this.#hear(peer, event)
  }

  /** As of one link: live while any of them is. */
  onEvent: (event: LinkEvent) => void = () => undefined

  close(): void {
    clearInterval(this.#timer)
  }

  send(packet: Uint8Array, atOnce = false): 'sent' | 'full' | 'down' {
    const link = this.#linkFor(packet)
    const id = packetIdAt(packet)
    if (link !== undefined && this.#offers.hasRoom(packet.length) && link.send(id, packet) === 'sent') {
      this.#offers.sent({ id, bytes: packet }, link.peer, this.#deps.monotonicMs())
      this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref()
      return 'sent'
    }
    return this.#deps.relays.send(packet, atOnce)
  }

  reaches(node: NodeId): boolean {
    return this.#deps.relays.isLive || this.#deps.links.to(node) !== undefined
  }

  /** Whether packets for it go over a direct link now, and if not, why. */
  pathTo(node: NodeId): 'direct' | 'no link' | 'does not answer' {
    if (this.#deps.links.to(node) === undefined) return 'no link'
    return this.#offers.isDoubted(node) && this.#deps.relays.isLive ? 'does not answer' : 'direct'
  }

  /** Packets that direct links have not answered. */
  get unanswered(): number {
    return this.#offers.size
  }

  /** What the relays say, as of one link. */
  heed(event: LinkEvent): void {
    switch (event.type) {
      case 'live':
        this.#wasLive = true
        this.onEvent(event)
        return this.#offerOwed()
      case 'down':
        return this.#relaysDown(event)
      case 'room':
        this.#offerOwed()
        return this.onEvent(event)
      default:
        return this.onEvent(event)
    }
  }

  #relaysDown(event: Extract<LinkEvent, { type: 'down' }>): void {
    const { links } = this.#deps
    const hasFallen = this.#wasLive
    this.#wasLive = false
    if (links.size === 0) return this.onEvent(event)
    // Every try to dial that fails says so again.
    if (hasFallen) this.#beginAnew(event.reason)
  }

  #up(): void {
    const { links } = this.#deps
    if (this.#deps.relays.isLive) return
    if (links.size > 1) {
      this.#compare()
      return this.onEvent({ type: 'room' })
    }
    this.#readAtMs = Number.NEGATIVE_INFINITY
    this.onEvent({ type: 'live', newGeneration: false })
    this.#compare()
  }

  #down(peer: NodeId, reason: FailureCode): void {
    const { relays, links } = this.#deps
    const left = this.#offers.left(peer)
    if (!relays.isLive && links.size === 0) {
      this.#dropOwed()
      return this.onEvent({ type: 'down', reason })
    }
    for (const offer of left) if (!this.#turn(offer)) return
  }

  #hear(peer: NodeId, event: DirectEvent): void {
    this.#offers.alive(peer, this.#deps.monotonicMs())
    switch (event.type) {
      case 'deliver':
        return this.onEvent({ ...event, via: 'direct' })
      case 'room':
        return this.onEvent(event)
      case 'answer': {
        const offer = this.#offers.answered(event.packet)
        const isTaken = event.outcomes.every(({ outcome }) => outcome === 'delivered')
        // Late, or while a relay has it too: that its reader has it is the better answer in any case.
        if (isTaken) return this.onEvent(event)
        if (offer === undefined) return
        if (this.#deps.relays.isLive) return void this.#turn(offer)
        return this.onEvent(event)
      }
    }
  }

  #look(): void {
    const { links, relays, monotonicMs } = this.#deps
    const { probe, overdue } = this.#offers.due(monotonicMs(), relays.isLive)
    for (const peer of probe)
      void links
        .to(peer)
        ?.probe()
        .then(() => this.#offers.alive(peer, monotonicMs()))
    for (const offer of overdue) if (!this.#turn(offer)) break
    if (this.#offers.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /**
   * By the relays, as it is; or by a newer link to the same machine where no relay is there. False: by none, and whoever
   * sent it, or anything else that has no answer, has been told.
   */
  #turn(offer: DirectOffer): boolean {
    const sent = this.#deps.relays.isLive ? this.#deps.relays.send(offer.bytes) : this.send(offer.bytes)
    if (sent === 'sent') return true
    if (sent === 'down' || this.#owedBytes + offer.bytes.length > HELD_BYTES_MAX) {
      this.#beginAnew('RELAY_UNREACHABLE')
      return false
    }
    this.#owed.push(offer)
    this.#owedBytes += offer.bytes.length
    return true
  }

  #offerOwed(): void {
    for (const offer of this.#dropOwed()) if (!this.#turn(offer)) return
  }

  /** Nobody knows what became of packets without an answer: whoever sent them hears of it as of a link that fell. */
  #beginAnew(reason: FailureCode): void {
    this.#dropOwed()
    this.onEvent({ type: 'down', reason })
    this.#readAtMs = Number.NEGATIVE_INFINITY
    this.onEvent({ type: 'live', newGeneration: false })
    if (!this.#deps.relays.isLive) this.#compare()
  }

  /** No relay says that it has been read: with none there is nothing to wait for. */
  #compare(): void {
    const nowMs = this.#deps.monotonicMs()
    if (nowMs - this.#readAtMs < READ_AGAIN_MS) return
    this.#readAtMs = nowMs
    this.onEvent({ type: 'drained' })
  }

  #dropOwed(): DirectOffer[] {
    const owed = this.#owed
    this.#owed = []
    this.#owedBytes = 0
    return owed
  }

  #linkFor(packet: Uint8Array): DirectLink | undefined {
    const { links, members, relays } = this.#deps
    if (links.size === 0) return undefined
    const header = readPacketHeader(packet)
    const [first, second] = header.ok ? header.value.recipients : []
    // One for several readers would need several answers: the relays hand it to each.
    if (first === undefined || second !== undefined) return undefined
    const link = links.all().find(({ peer }) => members.mailboxOf(peer) === first.mailbox)
    if (link === undefined || (this.#offers.isDoubted(link.peer) && relays.isLive)) return undefined
    return link
  }
}

import type { NodeId, PacketId } from '@sealmesh/protocol/ids'
import { DOUBT_AFTER_MS, HELD_BYTES_MAX, OVERDUE_MS, PROBE_AFTER_MS } from './direct-limits.ts'

export interface DirectOffer {
  readonly id: PacketId
  readonly bytes: Uint8Array
}

interface Held extends DirectOffer {
  readonly peer: NodeId
  readonly sentAtMs: number
}

/** What a look at the clock asks for. */
export interface Due {
  /** Links that are to show that they live. */
  readonly probe: readonly NodeId[]
  /** No longer held here: they go by the relays. */
  readonly overdue: readonly DirectOffer[]
}

const NOTHING: Due = { probe: [], overdue: [] }

/**
 * Packets that went over direct links and have no answer yet (docs/spec/18-direct-links.md §4): until there is one their bytes
 * are kept, so that the relays can take them as they are. Decides; the driver owns links and clock.
 */
export class DirectOffers {
  /** In the order in which they were sent. */
  readonly #held = new Map<PacketId, Held>()
  readonly #aliveAtMs = new Map<NodeId, number>()
  readonly #doubted = new Set<NodeId>()
  readonly #probed = new Set<NodeId>()
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number = HELD_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  get size(): number {
    return this.#held.size
  }

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.#bytesMax
  }

  /** It did not answer in time, and has shown no sign of life since. */
  isDoubted(peer: NodeId): boolean {
    return this.#doubted.has(peer)
  }

  /** Its link has taken it. The bytes are kept, not copied: nobody may change them. */
  sent(offer: DirectOffer, peer: NodeId, nowMs: number): void {
    this.#held.set(offer.id, { ...offer, peer, sentAtMs: nowMs })
    this.#bytes += offer.bytes.length
  }

  /** Undefined for what is not held: whoever has it now answers for it. */
  answered(id: PacketId): DirectOffer | undefined {
    const held = this.#held.get(id)
    if (held !== undefined) this.#drop(held)
    return held
  }

  /** Anything was heard of it. */
  alive(peer: NodeId, nowMs: number): void {
    this.#aliveAtMs.set(peer, nowMs)
    this.#doubted.delete(peer)
    this.#probed.delete(peer)
  }

  /** Its link is gone: what it has not answered. */
  left(peer: NodeId): DirectOffer[] {
    this.#aliveAtMs.delete(peer)
    this.#doubted.delete(peer)
    this.#probed.delete(peer)
    return this.#takeOf(peer)
  }

  /** `canTurn`: whether a relay could take what is overdue; else it stays where it is. */
  due(nowMs: number, canTurn: boolean): Due {
    if (this.#held.size === 0) return NOTHING
    const probe: NodeId[] = []
    const overdue: DirectOffer[] = []
    for (const held of this.#held.values()) {
      const { peer, sentAtMs } = held
      const heardMs = Math.max(sentAtMs, this.#aliveAtMs.get(peer) ?? Number.NEGATIVE_INFINITY)
      if (nowMs - heardMs >= PROBE_AFTER_MS && !this.#probed.has(peer)) {
        this.#probed.add(peer)
        probe.push(peer)
      }
      const isDead = nowMs - heardMs >= DOUBT_AFTER_MS
      if (isDead) this.#doubted.add(peer)
      if (canTurn && (this.#doubted.has(peer) || nowMs - sentAtMs >= OVERDUE_MS)) overdue.push(held)
    }
    for (const { id } of overdue) this.answered(id)
    return { probe, overdue }
  }

  #takeOf(peer: NodeId): DirectOffer[] {
    const taken = [...this.#held.values()].filter((held) => held.peer === peer)
    for (const held of taken) this.#drop(held)
    return taken
  }

  #drop(held: Held): void {
    this.#held.delete(held.id)
    this.#bytes -= held.bytes.length
  }
}

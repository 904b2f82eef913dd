import { toHex } from '@sealmesh/protocol/bytes'
import type { AgentId, NodeId, PacketId } from '@sealmesh/protocol/ids'
import { kindOf } from '@sealmesh/protocol/sync/packet-kind'
import { encodePayload, FAILOVER_NONCE_BYTES, type FailoverItem, type SyncItem } from '@sealmesh/protocol/sync/payload'
import { wrapPayload } from '@sealmesh/protocol/sync/payload-form'
import type { PacketPort } from '../sync/packet-port.ts'
import { ZlibDeflater } from '../sync/zlib-deflater.ts'
import type { LinkEvent, Via } from '../uplink/link-event.ts'

/** A word is news for as long; afterwards its mailbox drops it. */
const WORD_LIFE_MS = 60_000
const WAITING_MAX = 256

export interface TalkDeps {
  readonly port: Pick<PacketPort, 'seal'>
  readonly send: (packet: Uint8Array) => 'sent' | 'full' | 'down'
  readonly random: (bytes: number) => Uint8Array
}

/** What nodes say to each other about who holds an agent, beside what sync says anyway. */
export class FailoverTalk {
  readonly #deps: TalkDeps
  readonly #deflater = new ZlibDeflater()
  /** Packets that the relay has not answered. */
  readonly #placed = new Map<PacketId, (answered: boolean) => void>()
  /** Questions by nonce: what to do with the answer. */
  readonly #asked = new Map<string, (via: Via | undefined) => void>()

  constructor(deps: TalkDeps) {
    this.#deps = deps
  }

  /** Sent once: whoever hears nothing says it again. */
  say(to: NodeId, word: FailoverItem['word'], agent: AgentId, nonce?: Uint8Array): void {
    const item: FailoverItem = {
      type: 'failover',
      word,
      agent,
      nonce: nonce ?? this.#deps.random(FAILOVER_NONCE_BYTES),
    }
    const packet = this.#seal(to, [item], WORD_LIFE_MS)
    if (packet !== undefined) this.#deps.send(packet.bytes)
  }

  /** `heard` runs when the other one has answered with log heads that are all known here. */
  askHeads(to: NodeId, agent: AgentId, heard: (via: Via | undefined) => void): void {
    const nonce = this.#deps.random(FAILOVER_NONCE_BYTES)
    for (const [oldest] of this.#asked) if (this.#asked.size >= WAITING_MAX) this.#asked.delete(oldest)
    this.#asked.set(toHex(nonce), heard)
    this.say(to, 'heads?', agent, nonce)
  }

  heardHeads({ nonce }: FailoverItem, lacksRecords: boolean, via: Via | undefined): void {
    const key = toHex(nonce)
    const heard = this.#asked.get(key)
    if (heard === undefined || lacksRecords) return
    this.#asked.delete(key)
    heard(via)
  }

  /**
   * True once the relay has answered for a packet with these records: it has handed it over, or keeps it. `undefined`:
   * nothing can be sealed to that node until it returns.
   */
  place(to: NodeId, records: readonly Uint8Array[]): Promise<boolean> | undefined {
    const packet = this.#seal(to, [{ type: 'records', records }])
    if (packet === undefined) return undefined
    return new Promise((resolve) => {
      for (const [oldest, answer] of this.#placed) {
        if (this.#placed.size < WAITING_MAX) break
        this.#placed.delete(oldest)
        answer(false)
      }
      this.#placed.set(packet.id, resolve)
      if (this.#deps.send(packet.bytes) !== 'sent') this.#answered(packet.id, false)
    })
  }

  onLinkEvent(event: LinkEvent): void {
    if (event.type === 'answer')
      this.#answered(
        event.packet,
        event.outcomes.every(({ outcome }) => outcome !== 'refused'),
      )
    if (event.type !== 'down') return
    for (const id of this.#placed.keys()) this.#answered(id, false)
  }

  #answered(id: PacketId, taken: boolean): void {
    const answer = this.#placed.get(id)
    this.#placed.delete(id)
    answer?.(taken)
  }

  #seal(to: NodeId, items: readonly SyncItem[], lifeMs?: number) {
    const payload = wrapPayload(encodePayload(items), this.#deflater)
    return lifeMs === undefined
      ? this.#deps.port.seal(to, payload, kindOf(items))
      : this.#deps.port.seal(to, payload, kindOf(items), lifeMs)
  }
}

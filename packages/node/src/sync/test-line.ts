import type { LinkEvent } from '../uplink/relay-link.ts'
import type { IncarnationId, NodeId, PacketId } from '@sealmesh/protocol/ids'
import { PAYLOAD_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Logger } from 'pino'
import type { Running } from '../documents/test-homes.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { TABLES } from '../store/keys.ts'
import { ReceiptStore } from '../store/receipt-store.ts'
import { MeshSync } from './mesh-sync.ts'
import type { PacketPort } from './packet-port.ts'

interface Sent {
  readonly from: NodeId
  readonly to: NodeId
  readonly payload: Uint8Array
  readonly sequence: number
}

/** For tests: homes whose `MeshSync`s hand each other their payloads, unsealed, through one queue. */
export class TestLine {
  readonly #sodium: Sodium
  readonly #mesh: () => Mesh
  readonly #ends = new Map<NodeId, MeshSync>()
  readonly #packets = new Map<string, Sent>()
  #count = 0
  /** Bytes of payloads, the longest first to know. */
  readonly sizes: number[] = []
  /** False for what gets lost. */
  passes: (sent: Sent) => boolean = () => true

  constructor(sodium: Sodium, mesh: () => Mesh) {
    this.#sodium = sodium
    this.#mesh = mesh
  }

  async join(node: NodeId, { documents, closed, index, store, errors, warnings }: Running): Promise<MeshSync> {
    const log = {
      mesh: this.#mesh(),
      knows: () => true,
      receive: () => Promise.resolve({ added: 0, refused: 0 }),
      after: () => [],
    }
    const port = {
      tick: () => {},
      accept: () => {},
      seal: (to: NodeId, payload: Uint8Array) => {
        if (payload.length > PAYLOAD_BYTES_MAX) throw new Error('A payload fits a packet.')
        const id = (++this.#count).toString(16).padStart(32, '0') as PacketId
        this.#packets.set(id, { from: node, to, payload, sequence: this.#count })
        return { id, bytes: Buffer.from(id) }
      },
      open: (bytes: Uint8Array) => {
        const { from, payload, sequence } = this.#packets.get(Buffer.from(bytes).toString())!
        const value = {
          sender: from,
          incarnation: 'aa' as IncarnationId,
          sequence,
          payload,
          logHeads: this.#mesh().heads,
        }
        return { ok: true, value }
      },
    }
    const sync = new MeshSync({
      node,
      sodium: this.#sodium,
      documents,
      closed,
      index,
      log: log as unknown as LogKeeper,
      receipts: new ReceiptStore(store, TABLES.receipt, closed),
      handed: new ReceiptStore(store, TABLES.handed, closed),
      port: port as unknown as PacketPort,
      onUnopened: () => {},
      monotonicMs: () => performance.now(),
      wallMs: () => Date.now(),
      logger: {
        info: () => {},
        warn: (fields: unknown) => void warnings.push(fields),
        // What was on its way when it left finds its documents closed.
        error: (fields: unknown) => void (this.#ends.has(node) && errors.push(fields)),
      } as unknown as Logger,
    })
    this.#ends.set(node, sync)
    sync.attach({ send: (bytes) => this.#carry(sync, bytes) })
    sync.meet(this.#mesh())
    await sync.meshChanged(this.#mesh())
    for (const event of [{ type: 'live', newGeneration: false }, { type: 'drained' }] as LinkEvent[])
      sync.onLinkEvent(event)
    return sync
  }

  /** What the ends have still to send, or have not been answered for. */
  waiting(): number {
    const peers = [...this.#ends.values()].flatMap((sync) => sync.peers())
    return peers.reduce((sum, { view, inFlight }) => sum + view.toSend + inFlight, 0)
  }

  async leave(node: NodeId): Promise<void> {
    const sync = this.#ends.get(node)
    this.#ends.delete(node)
    await sync?.close()
  }

  #carry(from: MeshSync, bytes: Uint8Array): 'sent' {
    const id = Buffer.from(bytes).toString() as PacketId
    const packet = this.#packets.get(id)!
    this.sizes.push(packet.payload.length)
    setImmediate(() => {
      from.onLinkEvent({ type: 'answer', packet: id, outcomes: [{ outcome: 'delivered' }] } as unknown as LinkEvent)
      if (!this.passes(packet)) return
      this.#ends
        .get(packet.to)
        ?.onLinkEvent({ type: 'deliver', packet: bytes, acknowledge: () => this.#packets.delete(id) })
    })
    return 'sent'
  }
}

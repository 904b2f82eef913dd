import { toHex } from '@sealmesh/protocol/bytes'
import { BoxCache } from '@sealmesh/protocol/envelope/box-cache'
import { mailboxOn, type OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import { mayBeExpired } from '@sealmesh/protocol/envelope/expired-prekey'
import type { PacketFailure } from '@sealmesh/protocol/envelope/failure'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { openPacket } from '@sealmesh/protocol/envelope/open'
import type { OpenedPacket, PacketKind } from '@sealmesh/protocol/envelope/packet'
import { ReplayWindow } from '@sealmesh/protocol/envelope/replay-window'
import { ContentKeys, sealPacket } from '@sealmesh/protocol/envelope/seal'
import type { IncarnationId, NodeId, PacketId } from '@sealmesh/protocol/ids'
import { type KeyPair, NONCE_BYTES, type SealPublicKey, type Secret } from '@sealmesh/protocol/keys'
import { PACKET_EXPIRY_MS_MAX, PREKEY_SKEW_MS } from '@sealmesh/protocol/limits'
import { livePrekey } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { err, type Result } from '@sealmesh/protocol/result'
import type { Sodium } from '@sealmesh/protocol/sodium'

/** Turns payloads into sealed packets for nodes, and packets into payloads that their senders signed. */
export class PacketPort {
  readonly #deps: PacketPortDeps
  readonly #contentKeys = new ContentKeys()
  readonly #boxes = new BoxCache()
  readonly #sequences = new Map<NodeId, number>()
  readonly #windows = new Map<string, ReplayWindow>()
  #epoch = ''

  constructor(deps: PacketPortDeps) {
    this.#deps = deps
  }

  /** A revocation starts a new epoch: keys that a removed node may hold seal nothing more. */
  meshChanged(mesh: Mesh): void {
    const epoch = toHex(mesh.epoch)
    if (epoch !== this.#epoch) {
      this.#contentKeys.eraseAll()
      this.#boxes.eraseAll()
    }
    this.#epoch = epoch
  }

  /** Erases content keys that are over their minute. Call it every second or so. */
  tick(): void {
    this.#contentKeys.expire(this.#deps.now())
    this.#boxes.tick(this.#deps.now())
  }

  /** Undefined when this node cannot be sealed to: removed, or without a live prekey until it returns. */
  seal(
    to: NodeId,
    payload: Uint8Array,
    kind: PacketKind = 'sync',
    lifeMs = PACKET_EXPIRY_MS_MAX,
  ): { id: PacketId; bytes: Uint8Array } | undefined {
    const { sodium, random, now } = this.#deps
    const mesh = this.#deps.mesh()
    const node = mesh.nodes.get(to)
    if (node === undefined || node.revocations.length > 0) return undefined
    const nowMs = now()
    const prekey = livePrekey(node, nowMs)
    const mailbox = prekey === undefined ? undefined : mailboxOn(prekey, nowMs)
    if (prekey === undefined || mailbox === undefined) return undefined
    const sequence = (this.#sequences.get(to) ?? 0) + 1
    this.#sequences.set(to, sequence)
    const recipients = [{ node: to, mailbox, prekey: prekey.publicKey, sequence }]
    const id = toHex(random(16)) as PacketId
    const bytes = sealPacket(
      {
        mesh: mesh.id,
        kind,
        sender: { node: this.#deps.node, incarnation: this.#deps.incarnation, signKey: this.#deps.signKey },
        recipients,
        logHeads: mesh.heads,
        payload,
        packetId: id,
        // Not what is left of the prekey: that would be the same in all that is sealed to it, whatever the mailbox.
        expiresMs: nowMs + lifeMs,
        content: this.#contentKeys.take(recipients, nowMs, random, sodium),
        nonce: random(NONCE_BYTES),
      },
      sodium,
    )
    return { id, bytes }
  }

  /** Checks everything that DESIGN's order names; `seen` and `expired` are the two that need memory and a clock. */
  open(bytes: Uint8Array): Result<OpenedPacket, PacketFailure> {
    const mesh = this.#deps.mesh()
    this.#boxes.tick(this.#deps.now())
    const opened = openPacket(
      bytes,
      {
        mesh: mesh.id,
        node: this.#deps.node,
        mailboxes: this.#deps.mailboxes.ids(this.#deps.now()),
        prekeys: this.#deps.prekeys(),
        signKeyOf: (node) => mesh.nodes.get(node)?.signKey,
        boxCache: this.#boxes,
      },
      this.#deps.sodium,
    )
    if (!opened.ok) {
      const isClosed = opened.error.code === 'PACKET_BOX_CLOSED'
      return isClosed && this.#isToExpiredPrekey(bytes) ? err({ code: 'PACKET_PREKEY_EXPIRED' }) : opened
    }
    if (!this.#window(opened.value).wouldAccept(opened.value.sequence)) return err({ code: 'PACKET_SEEN' })
    // The clock that it was written by may be an hour behind, as for prekeys.
    if (opened.value.expiresMs + PREKEY_SKEW_MS < this.#deps.now()) return err({ code: 'PACKET_EXPIRED' })
    return opened
  }

  /** What the packet says is durable: from now on a second copy is a replay. */
  accept(packet: OpenedPacket): void {
    this.#window(packet).accept(packet.sequence)
  }

  #isToExpiredPrekey(bytes: Uint8Array): boolean {
    const header = readPacketHeader(bytes)
    const announced = this.#deps.mesh().nodes.get(this.#deps.node)?.prekeys ?? []
    return header.ok && mayBeExpired(announced, this.#deps.prekeys(), header.value.expiresMs, this.#deps.now())
  }

  #window({ sender, incarnation }: OpenedPacket): ReplayWindow {
    const key = `${sender}.${incarnation}`
    let window = this.#windows.get(key)
    if (window === undefined) {
      window = new ReplayWindow()
      this.#windows.set(key, window)
      if (this.#windows.size > WINDOWS_MAX) {
        const oldest = this.#windows.keys().next().value
        if (oldest !== undefined) this.#windows.delete(oldest)
      }
    }
    return window
  }
}

/** Runs of peers that are remembered; a replay from a forgotten one finds its blocks already there. */
const WINDOWS_MAX = 1_024

export interface PacketPortDeps {
  readonly sodium: Sodium
  readonly node: NodeId
  readonly incarnation: IncarnationId
  readonly signKey: Secret<'sign'>
  readonly mailboxes: OwnMailboxes
  /** Private halves that still live, newest first. */
  readonly prekeys: () => readonly KeyPair<SealPublicKey, 'seal'>[]
  readonly mesh: () => Mesh
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
}

import { equalBytes, fromHex, toHex } from '../bytes.ts'
import { mailboxOf } from '../envelope/mailbox.ts'
import { openPacket } from '../envelope/open.ts'
import { makeContentKey, sealPacket } from '../envelope/seal.ts'
import type { IncarnationId, MeshId, NodeId, PacketId } from '../ids.ts'
import { type KeyPair, type LoginPublicKey, NONCE_BYTES, type SealPublicKey, type Secret } from '../keys.ts'
import type { Mesh } from '../membership/mesh.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/**
 * A packet that comes with an admission and says nothing but whom it is for (docs/spec/05-pairing.md §5): a machine
 * that cannot open it with its own keys, or does not find its sender's key in the log that it was given, would write
 * what nobody else can use, and is not let begin.
 */
export interface CanaryDraft {
  readonly mesh: MeshId
  readonly sender: { readonly node: NodeId; readonly signKey: Secret<'sign'> }
  readonly to: { readonly node: NodeId; readonly loginKey: LoginPublicKey; readonly prekey: SealPublicKey }
  readonly expiresMs: number
}

const PACKET_ID_BYTES = 16
const INCARNATION_BYTES = 16

/** `random` gives that many random bytes. */
export function sealCanary(draft: CanaryDraft, random: (bytes: number) => Uint8Array, sodium: Sodium): Uint8Array {
  const { mesh, sender, to, expiresMs } = draft
  return sealPacket(
    {
      mesh,
      kind: 'sync',
      // An incarnation of its own: its sequence is nobody else's.
      sender: { ...sender, incarnation: toHex(random(INCARNATION_BYTES)) as IncarnationId },
      recipients: [{ node: to.node, mailbox: mailboxOf(to.loginKey, sodium), prekey: to.prekey, sequence: 1 }],
      logHeads: [],
      payload: canaryFor(mesh, to.node, sodium),
      packetId: toHex(random(PACKET_ID_BYTES)) as PacketId,
      expiresMs,
      content: makeContentKey([to.prekey], random, sodium),
      nonce: random(NONCE_BYTES),
    },
    sodium,
  )
}

/** Whether it is ours, opens with our keys, and was signed by a member of this mesh. Never throws. */
export function canaryLives(
  bytes: Uint8Array,
  mesh: Mesh,
  own: {
    readonly node: NodeId
    readonly loginKey: LoginPublicKey
    readonly prekeys: readonly KeyPair<SealPublicKey, 'seal'>[]
  },
  sodium: Sodium,
): boolean {
  const opened = openPacket(
    bytes,
    {
      mesh: mesh.id,
      node: own.node,
      mailboxes: new Set([mailboxOf(own.loginKey, sodium)]),
      prekeys: own.prekeys,
      signKeyOf: (node) => {
        const sender = mesh.nodes.get(node)
        return sender?.revocations.length === 0 ? sender.signKey : undefined
      },
    },
    sodium,
  )
  return opened.ok && equalBytes(opened.value.payload, canaryFor(mesh.id, own.node, sodium))
}

const canaryFor = (mesh: MeshId, node: NodeId, sodium: Sodium): Uint8Array =>
  sodium.hash([TAGS.joinCanary, fromHex(mesh), fromHex(node)])

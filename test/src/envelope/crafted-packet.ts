import { concatBytes } from '@sealmesh/protocol/bytes'
import { encodeHeader, headerHash } from '@sealmesh/protocol/envelope/header-writer'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { decodeInside, encodeInside, type Inside, padInside, type ReadInside } from '@sealmesh/protocol/envelope/inside'
import { commitmentTo, signedMessage } from '@sealmesh/protocol/envelope/seal'
import type { MailboxId, PacketId } from '@sealmesh/protocol/ids'
import type { Secret, Signature } from '@sealmesh/protocol/keys'
import type { Member, Scene } from './scene.ts'

/** A packet made by somebody who does not play by the rules: each part can be chosen, the rest is done right. */
export interface Craft {
  readonly id: PacketId
  readonly expiresMs: number
  readonly header: readonly { readonly mailbox: MailboxId; readonly box: Uint8Array }[]
  readonly contentKey: Uint8Array
  readonly inside: Inside
  readonly signKey: Secret<'sign'>
  /** Instead of the right one. */
  readonly signature?: (message: { header: Uint8Array; signed: Uint8Array }) => Signature
  /** Changes the padded inside just before it is encrypted. */
  readonly spoil?: (padded: Uint8Array) => Uint8Array
}

export function craft(scene: Scene, parts: Craft): Uint8Array {
  const { sodium } = scene
  const header = encodeHeader(parts.id, parts.expiresMs, parts.header)
  const hash = headerHash(header, sodium)
  const signed = encodeInside(parts.inside)
  const signature =
    parts.signature?.({ header: hash, signed }) ??
    sodium.sign(signedMessage(scene.mesh, hash, signed, sodium), parts.signKey)
  const padded = padInside(signed, signature)
  const nonce = scene.random(24)
  return concatBytes(header, nonce, sodium.encrypt(parts.spoil?.(padded) ?? padded, hash, nonce, parts.contentKey))
}

/** A packet from one member to one other, in parts, all of them right. */
export function rightParts(scene: Scene, from: Member, to: Member): Craft {
  const { sodium } = scene
  const contentKey = scene.random(32)
  const box = sodium.sealBox(contentKey, to.prekey.publicKey, scene.random(32)) ?? new Uint8Array()
  return {
    id: '00112233445566778899aabbccddeeff' as PacketId,
    expiresMs: 1_800_000_000_000,
    header: [{ mailbox: to.mailbox, box }],
    contentKey,
    inside: {
      commitment: commitmentTo(contentKey, sodium),
      kind: 'sync',
      sender: from.node,
      incarnation: from.incarnation,
      logHeads: [],
      recipients: [{ node: to.node, prekey: to.prekey.publicKey, sequence: 1 }],
      payload: scene.random(64),
    },
    signKey: from.sign.secretKey,
  }
}

/** What a recipient learns by opening: enough to try to pass it on. */
export function takeApart(scene: Scene, packet: Uint8Array, by: Member): ReadInside & { contentKey: Uint8Array } {
  const header = readPacketHeader(packet)
  if (!header.ok) throw new Error(header.error.code)
  const { bodyOffset, recipients } = header.value
  const box = recipients.find(({ mailbox }) => mailbox === by.mailbox)?.box ?? new Uint8Array()
  const contentKey = scene.sodium.openBox(box, by.prekey) ?? new Uint8Array(32)
  const hash = headerHash(packet.subarray(0, bodyOffset), scene.sodium)
  const nonce = packet.subarray(bodyOffset, bodyOffset + 24)
  const padded = scene.sodium.decrypt(packet.subarray(bodyOffset + 24), hash, nonce, contentKey)
  const inside = decodeInside(padded ?? new Uint8Array())
  if (!inside.ok) throw new Error(inside.error.code)
  return { ...inside.value, contentKey }
}

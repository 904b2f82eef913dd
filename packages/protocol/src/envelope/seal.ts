import { compareText, concatBytes, fromHex, toHex } from '../bytes.ts'
import type { IncarnationId, MailboxId, MeshId, NodeId, PacketId, RecordHash } from '../ids.ts'
import { CONTENT_KEY_BYTES, type SealPublicKey, Secret, SEED_BYTES } from '../keys.ts'
import { CONTENT_KEY_REUSE_MS, LOG_HEADS_MAX, PACKET_BYTES_MAX, PAYLOAD_BYTES_MAX } from '../limits.ts'
import { assert } from '../result.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { BOX_BYTES } from './header.ts'
import { encodeHeader, headerHash } from './header-writer.ts'
import { encodeInside, padInside } from './inside.ts'
import type { PacketKind } from './packet.ts'

export interface Recipient {
  readonly node: NodeId
  readonly mailbox: MailboxId
  readonly prekey: SealPublicKey
  /** Per (sender incarnation, recipient), from 1. */
  readonly sequence: number
}

export interface PacketDraft {
  readonly mesh: MeshId
  readonly kind: PacketKind
  readonly sender: { readonly node: NodeId; readonly incarnation: IncarnationId; readonly signKey: Secret<'sign'> }
  /** Any order, no node twice. */
  readonly recipients: readonly Recipient[]
  readonly logHeads: readonly RecordHash[]
  readonly payload: Uint8Array
  readonly packetId: PacketId
  readonly expiresMs: number
  /** From `ContentKeys.take` for these recipients. */
  readonly content: ContentKey
  /** 24 random bytes, never used twice. */
  readonly nonce: Uint8Array
}

/**
 * Signs, then seals (docs/spec/04-packets.md §5). A sealed box binds nothing, so the signature covers recipients, their
 * prekeys, a commitment to the content key and the header's hash: nobody who reads a packet can pass its words on as
 * if they had been said to another (`02_env_bound`).
 */
export function sealPacket(draft: PacketDraft, sodium: Sodium): Uint8Array {
  assert(draft.payload.length <= PAYLOAD_BYTES_MAX, 'a payload fits a packet')
  assert(draft.logHeads.length <= LOG_HEADS_MAX, 'a packet names at most 64 log heads')
  const recipients = draft.recipients.toSorted((a, b) => compareText(a.mailbox, b.mailbox))
  const header = encodeHeader(
    draft.packetId,
    draft.expiresMs,
    recipients.map(({ mailbox, prekey }) => ({ mailbox, box: draft.content.boxFor(prekey) })),
  )
  const hash = headerHash(header, sodium)
  const signed = encodeInside({
    commitment: draft.content.commitment,
    kind: draft.kind,
    sender: draft.sender.node,
    incarnation: draft.sender.incarnation,
    logHeads: draft.logHeads,
    recipients,
    payload: draft.payload,
  })
  const signature = sodium.sign(signedMessage(draft.mesh, hash, signed, sodium), draft.sender.signKey)
  const body = sodium.encrypt(padInside(signed, signature, draft.kind), hash, draft.nonce, draft.content.expose())
  const packet = concatBytes(header, draft.nonce, body)
  assert(packet.length <= PACKET_BYTES_MAX, 'a packet fits a frame')
  return packet
}

/**
 * What a packet's signature is over. The inside goes in as its hash: Ed25519 reads its message twice, and for a full
 * packet that costs four times as much as hashing it once.
 */
export const signedMessage = (mesh: MeshId, hash: Uint8Array, signed: Uint8Array, sodium: Sodium): Uint8Array =>
  concatBytes(TAGS.packet, fromHex(mesh), hash, sodium.hash([TAGS.packetInside, signed]))

export const commitmentTo = (contentKey: Uint8Array, sodium: Sodium): Uint8Array =>
  sodium.hash([TAGS.contentKeyCommitment, contentKey])

/** A key that encrypts bodies, with its box for each prekey that it was sealed to. */
export class ContentKey {
  readonly commitment: Uint8Array
  readonly #key: Secret<'content'>
  readonly #boxes: ReadonlyMap<string, Uint8Array>
  #erased = false

  constructor(key: Secret<'content'>, boxes: ReadonlyMap<string, Uint8Array>, sodium: Sodium) {
    this.#key = key
    this.#boxes = boxes
    this.commitment = commitmentTo(key.expose(), sodium)
  }

  boxFor(prekey: SealPublicKey): Uint8Array {
    const box = this.#boxes.get(toHex(prekey))
    assert(box !== undefined, 'a content key is used for the recipients that it was made for')
    return box
  }

  expose(): Uint8Array {
    // An erased key is all zeros, and a packet under zeros is a packet in clear.
    assert(!this.#erased, 'a content key is not used after it was erased')
    return this.#key.expose()
  }

  erase(): void {
    this.#erased = true
    this.#key.erase()
  }
}

/** Sets of recipients whose keys are kept: a node talks to each peer alone, and to groups of them. */
const CONTENT_KEYS_MAX = 256

/**
 * One content key for one set of mailboxes and prekeys, for at most a minute, so that both sides pay for its boxes
 * once. Another recipient or another prekey is another set, with a key of its own; and so is another day, or two
 * mailboxes of one node would hold the same box.
 */
export class ContentKeys {
  readonly #kept = new Map<string, { content: ContentKey; madeAtMs: number }>()

  /** `random` gives that many random bytes. */
  take(
    recipients: readonly Pick<Recipient, 'mailbox' | 'prekey'>[],
    nowMs: number,
    random: (bytes: number) => Uint8Array,
    sodium: Sodium,
  ): ContentKey {
    this.expire(nowMs)
    const set = recipients
      .map(({ mailbox, prekey }) => mailbox + toHex(prekey))
      .sort()
      .join()
    const kept = this.#kept.get(set)
    if (kept !== undefined) return kept.content
    const content = makeContentKey(
      recipients.map(({ prekey }) => prekey),
      random,
      sodium,
    )
    this.#kept.set(set, { content, madeAtMs: nowMs })
    if (this.#kept.size > CONTENT_KEYS_MAX) this.#drop(this.#kept.keys().next().value ?? '')
    return content
  }

  /** Erases what is over its minute, and all of it when the clock stepped back. */
  expire(nowMs: number): void {
    for (const [set, { madeAtMs }] of this.#kept)
      if (nowMs - madeAtMs >= CONTENT_KEY_REUSE_MS || nowMs < madeAtMs) this.#drop(set)
  }

  /** After a revocation, and before stopping. */
  eraseAll(): void {
    for (const set of this.#kept.keys()) this.#drop(set)
  }

  #drop(set: string): void {
    this.#kept.get(set)?.content.erase()
    this.#kept.delete(set)
  }
}

export function makeContentKey(
  prekeys: readonly SealPublicKey[],
  random: (bytes: number) => Uint8Array,
  sodium: Sodium,
): ContentKey {
  const key = random(CONTENT_KEY_BYTES)
  const boxes = new Map<string, Uint8Array>()
  for (const prekey of prekeys) {
    const box = sodium.sealBox(key, prekey, random(SEED_BYTES))
    // A member that published a useless prekey cannot open the packet; that must not keep it from the others.
    boxes.set(toHex(prekey), box ?? random(BOX_BYTES))
  }
  return new ContentKey(new Secret('content', key), boxes, sodium)
}

import { createHash } from 'node:crypto'
import { toHex } from '@sealmesh/protocol/bytes'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { OpenContext } from '@sealmesh/protocol/envelope/open'
import { makeContentKey, type PacketDraft, type Recipient, sealPacket } from '@sealmesh/protocol/envelope/seal'
import type { IncarnationId, MeshId, NodeId, PacketId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey, SealPublicKey, SignPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'

/** Dice that anybody can roll again: SHA-256 of a seed and a counter. */
export function seededRandom(seed: string): (bytes: number) => Uint8Array {
  let drawn = 0
  return (bytes) => {
    const out = new Uint8Array(bytes)
    for (let at = 0; at < bytes; at += 32) {
      const block = createHash('sha256').update(`${seed}/${drawn++}`).digest()
      out.set(block.subarray(0, Math.min(32, bytes - at)), at)
    }
    return out
  }
}

export interface Member {
  readonly node: NodeId
  readonly incarnation: IncarnationId
  readonly sign: KeyPair<SignPublicKey, 'sign'>
  readonly loginKey: LoginPublicKey
  readonly prekeySeed: Uint8Array
  readonly prekey: KeyPair<SealPublicKey, 'seal'>
  readonly mailbox: Recipient['mailbox']
}

/** A mesh with members who know each other's signing keys, as the membership log would tell them. */
export class Scene {
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly mesh: MeshId
  readonly members: readonly Member[]

  constructor(sodium: Sodium, seed: string, memberCount: number) {
    this.sodium = sodium
    this.random = seededRandom(seed)
    this.mesh = this.#id() as MeshId
    this.members = Array.from({ length: memberCount }, () => this.#member())
  }

  member(index: number): Member {
    const member = this.members[index]
    if (member === undefined) throw new Error(`The scene has no member ${index}`)
    return member
  }

  draft(from: Member, to: readonly Member[], changes: Partial<PacketDraft> = {}): PacketDraft {
    return {
      mesh: this.mesh,
      kind: 'sync',
      sender: { node: from.node, incarnation: from.incarnation, signKey: from.sign.secretKey },
      recipients: to.map((member, at) => ({
        node: member.node,
        mailbox: member.mailbox,
        prekey: member.prekey.publicKey,
        sequence: at + 1,
      })),
      logHeads: [],
      payload: this.random(100),
      packetId: toHex(this.random(16)) as PacketId,
      expiresMs: 1_800_000_000_000,
      content: makeContentKey(
        to.map(({ prekey }) => prekey.publicKey),
        this.random,
        this.sodium,
      ),
      nonce: this.random(24),
      ...changes,
    }
  }

  seal(from: Member, to: readonly Member[], changes: Partial<PacketDraft> = {}): Uint8Array {
    return sealPacket(this.draft(from, to, changes), this.sodium)
  }

  context(of: Member, changes: Partial<OpenContext> = {}): OpenContext {
    return {
      mesh: this.mesh,
      node: of.node,
      mailboxes: new Set([of.mailbox]),
      prekeys: [of.prekey],
      signKeyOf: (node) => this.members.find((member) => member.node === node)?.sign.publicKey,
      ...changes,
    }
  }

  #id = (): string => toHex(this.random(32))

  #member(): Member {
    const { sodium, random } = this
    const loginKey = sodium.signKeys('login', random(32)).publicKey as unknown as LoginPublicKey
    const prekeySeed = random(32)
    return {
      node: this.#id() as NodeId,
      incarnation: toHex(random(16)) as IncarnationId,
      sign: sodium.signKeys('sign', random(32)),
      loginKey,
      prekeySeed,
      prekey: sodium.sealKeys(prekeySeed),
      mailbox: mailboxOf(loginKey, sodium),
    }
  }
}

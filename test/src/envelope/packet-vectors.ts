import { concatBytes, toHex } from '@sealmesh/protocol/bytes'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import { type OpenContext, openPacket } from '@sealmesh/protocol/envelope/open'
import { ReplayWindow } from '@sealmesh/protocol/envelope/replay-window'
import { commitmentTo } from '@sealmesh/protocol/envelope/seal'
import type { AgentId, RecordHash, RelayId } from '@sealmesh/protocol/ids'
import { Secret } from '@sealmesh/protocol/keys'
import { encodeLink, type PairingLink } from '@sealmesh/protocol/pairing/link'
import { linkKeys } from '@sealmesh/protocol/pairing/link-keys'
import { encodeMessage, type PairingMessage } from '@sealmesh/protocol/pairing/message'
import { sealPairingPacket } from '@sealmesh/protocol/pairing/pairing-packet'
import { commitTo, wordsFor } from '@sealmesh/protocol/pairing/transcript'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { craft, rightParts } from './crafted-packet.ts'
import { type Member, Scene } from './scene.ts'

/** test/vectors/packets.json: everything in hexadecimal, for any language that reads JSON. */
export interface PacketVectors {
  readonly about: string
  readonly mesh: string
  readonly members: readonly {
    readonly name: string
    readonly node: string
    readonly mailbox: string
    readonly loginKey: string
    readonly signKey: string
    readonly prekeySeed: string
  }[]
  readonly good: readonly { name: string; packet: string; reader: string; opened: unknown }[]
  readonly bad: readonly { name: string; packet: string; reader: string; error: string }[]
  readonly sequences: { readonly given: readonly number[]; readonly answers: readonly string[] }
  readonly pairing: unknown
}

/** In the order in which the scene makes its members. */
export const NAMES = ['alice', 'bob', 'mallory'] as const

export function vectorScene(sodium: Sodium): Scene {
  return new Scene(sodium, 'packet vectors', NAMES.length)
}

export const openedView = (bytes: Uint8Array, context: OpenContext, sodium: Sodium): unknown => {
  const opened = openPacket(bytes, context, sodium)
  return opened.ok ? plain(opened.value) : opened.error.code
}

export function buildVectors(sodium: Sodium): PacketVectors {
  const scene = vectorScene(sodium)
  const [alice, bob, mallory] = [scene.member(0), scene.member(1), scene.member(2)]
  const named = (member: Member): string => NAMES[scene.members.indexOf(member)] ?? ''
  const good: PacketVectors['good'][number][] = []
  const bad: PacketVectors['bad'][number][] = []
  const addGood = (name: string, packet: Uint8Array, reader: Member): void => {
    good.push({
      name,
      packet: toHex(packet),
      reader: named(reader),
      opened: openedView(packet, scene.context(reader), sodium),
    })
  }
  const addBad = (name: string, packet: Uint8Array, reader: Member): void => {
    const opened = openPacket(packet, scene.context(reader), sodium)
    bad.push({ name, packet: toHex(packet), reader: named(reader), error: opened.ok ? 'opened' : opened.error.code })
  }

  const heads = [toHex(scene.random(32)), toHex(scene.random(32))].sort() as RecordHash[]
  const lone = scene.seal(alice, [bob], { logHeads: heads.slice(0, 1) })
  const both = scene.seal(alice, [bob, mallory], { logHeads: heads, kind: 'message', payload: scene.random(600) })
  addGood('one recipient', lone, bob)
  addGood('two recipients, as the first reads it', both, bob)
  addGood('two recipients, as the second reads it', both, mallory)
  addGood('control', scene.seal(alice, [bob], { kind: 'control' }), bob)
  addGood('no payload', scene.seal(bob, [alice], { payload: new Uint8Array() }), alice)

  const parts = rightParts(scene, alice, bob)
  const [bound] = parts.inside.recipients
  if (bound === undefined) throw new Error('The parts have a recipient')
  const inside = (changes: Partial<typeof parts.inside>) =>
    craft(scene, { ...parts, inside: { ...parts.inside, ...changes } })
  addGood('made of right parts', craft(scene, parts), bob)
  addBad('empty', new Uint8Array(), bob)
  addBad('cut short by a byte', lone.subarray(0, -1), bob)
  addBad('another version', lone.with(0, 2), bob)
  addBad('no recipients', lone.with(23, 0), bob)
  addBad('more recipients than it has room for', lone.with(23, 32), bob)
  addBad('recipients out of order', swapRecipients(both), bob)
  addBad('for somebody else', lone, mallory)
  addBad(
    'box of another prekey',
    craft(scene, { ...parts, header: [{ mailbox: bob.mailbox, box: scene.random(80) }] }),
    bob,
  )
  addBad('expiry put off by the relay', lone.with(22, (lone[22] ?? 0) ^ 1), bob)
  addBad('last byte changed', lone.with(-1, (lone.at(-1) ?? 0) ^ 1), bob)
  addBad('padding that is not zero', craft(scene, { ...parts, spoil: (padded) => padded.with(-1, 1) }), bob)
  addBad(
    'padded further than needed',
    craft(scene, { ...parts, spoil: (padded) => concatBytes(padded, new Uint8Array(32)) }),
    bob,
  )
  addBad('control, padded like sync', craft(scene, { ...parts, inside: { ...parts.inside, kind: 'control' } }), bob)
  addBad('sequence zero', inside({ recipients: [{ ...bound, sequence: 0 }] }), bob)
  addBad('sender that the log does not know', inside({ sender: toHex(scene.random(32)) as typeof alice.node }), bob)
  addBad('signed by another member', craft(scene, { ...parts, signKey: mallory.sign.secretKey }), bob)
  addBad('signed for another node', inside({ recipients: [{ ...bound, node: mallory.node }] }), bob)
  addBad('signed for another prekey', inside({ recipients: [{ ...bound, prekey: mallory.prekey.publicKey }] }), bob)
  addBad('signed for one recipient more', inside({ recipients: [bound, { ...bound, node: mallory.node }] }), bob)
  addBad('commitment to another key', inside({ commitment: commitmentTo(scene.random(32), sodium) }), bob)

  const window = new ReplayWindow()
  const given = [1, 1, 3, 2, 3, 1_026, 3, 2, 1_027, 4, 2_000_000, 1_998_977, 1_998_976]
  return {
    about:
      'Packets: docs/spec/04-packets.md; pairing: docs/spec/05-pairing.md. All bytes are hexadecimal. A reader opens with its own prekey and knows the signing keys of all members.',
    mesh: scene.mesh,
    members: scene.members.map((member) => ({
      name: named(member),
      node: member.node,
      mailbox: mailboxOf(member.loginKey, sodium),
      loginKey: toHex(member.loginKey),
      signKey: toHex(member.sign.publicKey),
      prekeySeed: toHex(member.prekeySeed),
    })),
    good,
    bad,
    sequences: { given, answers: given.map((sequence) => window.accept(sequence)) },
    pairing: pairingVectors(scene, bob),
  }
}

function pairingVectors(scene: Scene, joiner: Member): unknown {
  const { sodium, random } = scene
  const link: PairingLink = {
    relayAddress: { url: 'wss://relay.example:8443', relay: toHex(random(32)) as RelayId, pin: toHex(random(32)) },
    rootFingerprint: scene.mesh,
    secret: new Secret('pairing', random(32)),
    inviterMailbox: scene.member(0).mailbox,
    expiresMs: 1_800_000_600_000,
  }
  const keys = linkKeys(link, sodium)
  const identity = {
    name: 'office',
    signKey: joiner.sign.publicKey,
    loginKey: joiner.loginKey,
    foundingAgent: { id: toHex(random(32)) as AgentId, name: 'claude' },
  }
  const introduction = { link, session: toHex(random(16)), joiner: { identity, prekey: joiner.prekey.publicKey } }
  const { session } = introduction
  const nonces = { joiner: random(32), inviter: random(32) }
  const messages: PairingMessage[] = [
    {
      type: 'join',
      session,
      joiner: introduction.joiner,
      commitment: commitTo(nonces.joiner, 'joiner', introduction, sodium),
    },
    { type: 'accept', session, commitment: commitTo(nonces.inviter, 'inviter', introduction, sodium) },
    { type: 'reveal', session, nonce: nonces.joiner },
    { type: 'want', session, next: 8 },
    { type: 'chunk', session, index: 1, count: 9, bytes: random(40) },
    { type: 'done', session },
    { type: 'refuse', session, reason: 'LINK_USED' },
    { type: 'offer', session, point: random(32), mailbox: link.inviterMailbox },
    { type: 'answer', session, point: random(32), proof: random(32) },
    { type: 'link', session, sealed: random(60) },
  ]
  const to = { mailbox: link.inviterMailbox, key: keys.packet['to-inviter'], expiresMs: link.expiresMs }
  return plain({
    link: encodeLink(link, sodium),
    fields: { ...link, secret: link.secret.expose() },
    loginKey: keys.login.publicKey,
    keyToInviter: keys.packet['to-inviter'].expose(),
    keyToJoiner: keys.packet['to-joiner'].expose(),
    joinerMailbox: mailboxOf(keys.login.publicKey, sodium),
    nonces,
    words: wordsFor(introduction, nonces, sodium),
    messages: messages.map((message) => ({
      message,
      bytes: encodeMessage(message),
      packetToInviter: sealPairingPacket(message, to, random, sodium),
    })),
  })
}

function swapRecipients(packet: Uint8Array): Uint8Array {
  const swapped = packet.slice()
  swapped.set(packet.subarray(136, 248), 24)
  swapped.set(packet.subarray(24, 136), 136)
  return swapped
}

export const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, each: unknown) => (each instanceof Uint8Array ? toHex(each) : each)))

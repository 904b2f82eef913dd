import { readFileSync } from 'node:fs'
import { ZlibDeflater } from '@sealmesh/node/sync/zlib-deflater'
import { concatBytes, fromHex, utf8 } from '@sealmesh/protocol/bytes'
import { clientIdOf, decodeBlock, decodeHeader, decodeWrites, verifyBlock } from '@sealmesh/protocol/crdt/block-codec'
import { decodeLink, makeLink } from '@sealmesh/protocol/crdt/closed-set'
import { decodePruned } from '@sealmesh/protocol/crdt/pruned'
import { decodeRegisters, type EncodedRegisters, encodeRegisters } from '@sealmesh/protocol/crdt/register-codec'
import { RegisterMap } from '@sealmesh/protocol/crdt/register-map'
import { decodeRow, isRun } from '@sealmesh/protocol/crdt/row'
import { decodeRun, isSoundRun } from '@sealmesh/protocol/crdt/text-run'
import { readTextUpdate } from '@sealmesh/protocol/crdt/text-update'
import { readPacketHeader, readPacketRoute } from '@sealmesh/protocol/envelope/header'
import { decodeInside } from '@sealmesh/protocol/envelope/inside'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import { openPacket } from '@sealmesh/protocol/envelope/open'
import { parseToken, signToken } from '@sealmesh/protocol/failover/authority'
import { decodeAcceptor, openAcceptor, sealAcceptor } from '@sealmesh/protocol/failover/ballot'
import { decodeLease, openLease } from '@sealmesh/protocol/failover/lease-blob'
import type { BlockHash, DocumentId, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import { parseId, parseUmr } from '@sealmesh/protocol/ids'
import { NONCE_BYTES, Secret, type SignPublicKey } from '@sealmesh/protocol/keys'
import {
  decodeDelivery,
  decodeSend,
  decodeSent,
  encodeDelivery,
  encodeDeliveryStart,
  encodeSend,
  encodeSent,
  isSoundSend,
} from '@sealmesh/protocol/ipc/compact'
import { parseTextHeader } from '@sealmesh/protocol/messages/text-form'
import { decodeRecord, verifyRecord } from '@sealmesh/protocol/membership/record-codec'
import { decodeAdmission, encodeAdmission } from '@sealmesh/protocol/pairing/admission'
import { openLink, sealLink } from '@sealmesh/protocol/pairing/code'
import { toBase64Url } from '@sealmesh/protocol/pairing/base64url'
import { linkBytes, parseLink } from '@sealmesh/protocol/pairing/link'
import { linkKeys } from '@sealmesh/protocol/pairing/link-keys'
import { decodeMessage, encodeMessage } from '@sealmesh/protocol/pairing/message'
import { openPairingPacket, sealPairingPacket } from '@sealmesh/protocol/pairing/pairing-packet'
import { openLogCopy, sealLogCopy } from '@sealmesh/protocol/recovery/log-copy'
import { recoveryKeysOf } from '@sealmesh/protocol/recovery/recovery-keys'
import { openChunk, openRoot } from '@sealmesh/protocol/snapshots/sealed'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { decodePayload, encodePayload } from '@sealmesh/protocol/sync/payload'
import { unwrapPayload, wrapPayload } from '@sealmesh/protocol/sync/payload-form'
import type { Dot } from '@sealmesh/protocol/crdt/clock'
import { decodeWord, encodeWord, parseVectorText, vectorText } from '@sealmesh/protocol/drills/exchange'
import { decodeFiled, encodeFiled } from '@sealmesh/protocol/drills/report'
import { TAGS } from '@sealmesh/protocol/tags'
import { formatRelayAddress, parseRelayAddress } from '@sealmesh/protocol/wire/address'
import { decodeFrame, encodeFrame } from '@sealmesh/protocol/wire/frame'
import { decodeRevocation, signRevocation } from '@sealmesh/protocol/wire/revocation'
import { decodePackets, encodePackets } from '@sealmesh/protocol/wire/packets'
import { decodeTokenChain, encodeTokenChain } from '@sealmesh/protocol/wire/token'
import { mailboxNames } from '@sealmesh/relay/core/mailbox-names'
import { FACTS, filedOf } from '../drills/sample.ts'
import { craft, rightParts } from '../envelope/crafted-packet.ts'
import { Scene, seededRandom } from '../envelope/scene.ts'
import { ACCEPTORS, NODE, SLOT, vectorKey } from '../failover/lease-vectors.ts'
import { PairingScene } from '../pairing/pairing-scene.ts'
import { TestMesh } from '../relay/mesh.ts'
import { buildSnapshot } from '../snapshots/vectors.ts'
import { SAMPLES } from '../wire/frame-samples.ts'
import { pairingMessages, PAYLOADS } from './samples.ts'

/** Something that is handed bytes by strangers, peers or a damaged disk. */
export interface Decoder {
  /** As it is exported. */
  readonly name: string
  /** Good inputs, from which bad ones are made. */
  readonly samples: readonly Uint8Array[]
  /** Whether it takes them. */
  readonly takes: (bytes: Uint8Array) => boolean
}

/** Exported under a decoder's name in packages/protocol, and none. */
export const NO_DECODERS: ReadonlySet<string> = new Set(['readersOf', 'readingRights', 'opens'])

interface Vectors {
  good: { bytes?: string; packet?: string; row?: string; key?: string }[]
  bad: { bytes?: string; packet?: string; row?: string }[]
}
const vectors = (name: string): Vectors =>
  JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8')) as Vectors
const bytesOf = ({ good, bad }: Vectors): Uint8Array[] =>
  [...good, ...bad].map(({ bytes, packet, row }) => fromHex(bytes ?? packet ?? row ?? ''))

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

export function allDecoders(sodium: Sodium): Decoder[] {
  const random = seededRandom('decoders')
  const blocks = vectors('blocks')
  const records = vectors('records')
  const key = random(32) as SignPublicKey
  const pruned = bytesOf(vectors('pruned'))
  const rows = bytesOf(vectors('text-runs'))
  return [
    ...envelope(sodium),
    ...pairing(sodium),
    ...relay(sodium),
    { name: 'openLogCopy', ...logCopies(sodium) },
    ...leases(sodium),
    ...snapshots(sodium),
    ...drills(sodium),
    ...compactFrames(),
    {
      name: 'decodeRecord',
      samples: bytesOf(records),
      takes: (bytes) => {
        const record = decodeRecord(bytes, sodium)
        return record.ok && (verifyRecord(record.value, key, sodium) || true)
      },
    },
    {
      name: 'decodeBlock',
      samples: bytesOf(blocks),
      takes: (bytes) => {
        const block = decodeBlock(bytes, sodium)
        if (!block.ok) return false
        // What is read of bytes that were a block once has to read this one, too.
        if (!decodeHeader(bytes).ok || !decodeWrites(bytes).ok) throw new Error('a block has no header or writes')
        return verifyBlock(block.value, key, sodium) || true
      },
    },
    { name: 'decodePruned', samples: pruned, takes: (bytes) => decodePruned(bytes, sodium).ok },
    {
      name: 'decodeRun',
      samples: rows.map((row) => row.subarray(1)),
      takes: (bytes) => {
        const run = decodeRun(bytes, sodium)
        return run.ok && (isSoundRun(run.value) || true)
      },
    },
    {
      name: 'decodeRow',
      samples: [...rows, ...pruned.map((bytes) => concatBytes(Uint8Array.of(0), bytes))],
      takes: (bytes) => {
        const row = decodeRow(bytes, sodium)
        return row.ok && (isRun(row.value) || true)
      },
    },
    { name: 'decodeLink', samples: links(sodium), takes: (bytes) => decodeLink(bytes, sodium) !== undefined },
    { name: 'decodeRegisters', ...registers() },
    { name: 'readTextUpdate', ...texts(rows, sodium) },
    {
      name: 'decodePayload',
      samples: PAYLOADS.map(({ items }) => encodePayload(items)),
      takes: (bytes) => decodePayload(bytes).ok,
    },
    {
      name: 'unwrapPayload',
      samples: [new Uint8Array(20_000), random(300)].map((items) => wrapPayload(items, new ZlibDeflater())),
      takes: (bytes) => unwrapPayload(bytes, new ZlibDeflater()).ok,
    },
    {
      name: 'parseId',
      samples: [utf8(`node_${'a1'.repeat(32)}`), utf8(`packet_${'0f'.repeat(16)}`)],
      takes: (bytes) => parseId('node', text(bytes)) !== undefined,
    },
    {
      name: 'parseTextHeader',
      samples: [utf8('[FROM:a|TO:b|PRIORITY:1|TYPE:question|ID:x]'), utf8('[TO:#news|FROM:a]')],
      takes: (bytes) => parseTextHeader(text(bytes)) !== undefined,
    },
    {
      name: 'parseUmr',
      samples: ['claude.semantic.deploy-day', 'a.hippo.b.c'].map(utf8),
      takes: (bytes) => parseUmr(text(bytes)) !== undefined,
    },
  ]
}

function envelope(sodium: Sodium): Decoder[] {
  const scene = new Scene(sodium, 'decoders', 3)
  const [alice, bob, carol] = scene.members as [Scene['members'][0], Scene['members'][0], Scene['members'][0]]
  const packets = [scene.seal(alice, [bob]), scene.seal(alice, [bob, carol])]
  const insides: Uint8Array[] = []
  const keep = (padded: Uint8Array): Uint8Array => {
    insides.push(padded)
    return padded
  }
  const parts = rightParts(scene, alice, bob)
  craft(scene, { ...parts, spoil: keep })
  return [
    { name: 'readPacketHeader', samples: packets, takes: (bytes) => readPacketHeader(bytes).ok },
    { name: 'readPacketRoute', samples: packets, takes: (bytes) => readPacketRoute(bytes, mailboxNames()).ok },
    {
      name: 'decodePackets',
      samples: [encodePackets(0x10, packets.slice(0, 3))],
      takes: (bytes) => decodePackets(bytes) !== null,
    },
    {
      // Opened by somebody who has the content key: encryption keeps strangers' changes from it.
      name: 'decodeInside',
      samples: insides,
      takes: (bytes) => decodeInside(bytes).ok,
    },
    {
      name: 'openPacket',
      samples: packets,
      takes: (bytes) => openPacket(bytes, scene.context(bob), sodium).ok,
    },
  ]
}

function pairing(sodium: Sodium): Decoder[] {
  const scene = new PairingScene(sodium, 'decoders')
  const link = scene.link()
  const to = {
    mailbox: link.inviterMailbox,
    key: linkKeys(link, sodium).packet['to-inviter'],
    expiresMs: link.expiresMs,
  }
  const messages = pairingMessages(scene.machine('new').identity)
  const codeKeys = { proof: scene.random(32), link: new Secret('pairing', scene.random(32)) }
  return [
    {
      // With a check that is right: whoever makes a link up can make that.
      name: 'parseLink',
      samples: [
        linkBytes(link),
        linkBytes(scene.link({ relayAddress: { ...link.relayAddress, pin: 'ab'.repeat(32) } })),
      ],
      takes: (bytes) => {
        const check = sodium.hash([TAGS.pairingLink, bytes]).subarray(0, 4)
        return (
          parseLink(`sealmesh:${toBase64Url(concatBytes(bytes, check))}`, sodium).ok ||
          parseLink(text(bytes), sodium).ok
        )
      },
    },
    { name: 'decodeMessage', samples: messages.map(encodeMessage), takes: (bytes) => decodeMessage(bytes).ok },
    {
      name: 'openPairingPacket',
      samples: messages.map((message) => sealPairingPacket(message, to, scene.random, sodium)),
      takes: (bytes) => openPairingPacket(bytes, to, sodium) !== undefined,
    },
    {
      // By somebody who knows the code.
      name: 'openLink',
      samples: [sealLink(`sealmesh:${'a'.repeat(300)}`, codeKeys, scene.random(NONCE_BYTES), sodium)],
      takes: (bytes) => openLink(bytes, codeKeys, sodium) !== undefined,
    },
    {
      name: 'decodeAdmission',
      samples: [concatBytes(...encodeAdmission(scene.admission(scene.machine('new').identity)))],
      takes: (bytes) => decodeAdmission([bytes]).ok,
    },
  ]
}

function logCopies(sodium: Sodium): Omit<Decoder, 'name'> {
  const random = seededRandom('log copies')
  const { mailboxSecret, seal } = recoveryKeysOf(sodium.signKeys('root', random(32)).secretKey, sodium)
  const mailbox = mailboxOf(mailboxSecret, sodium)
  const to = { mailbox, sealKey: seal.publicKey, expiresMs: 1_800_000_000_000 }
  const copy = sealLogCopy([random(300), random(41)], to, random, sodium)
  return {
    samples: copy === undefined ? [] : [copy.bytes],
    takes: (bytes) => openLogCopy(bytes, { mailboxes: new Set([mailbox]), keys: [seal] }, sodium) !== undefined,
  }
}

function leases(sodium: Sodium): Decoder[] {
  const samples = bytesOf(vectors('leases'))
  const key = vectorKey(sodium)
  const bound = concatBytes(TAGS.leaseBlob, fromHex(key.mesh), fromHex(NODE))
  const plain = samples.flatMap(
    (bytes) => sodium.decrypt(bytes.subarray(24), bound, bytes.subarray(0, 24), key.secret.expose()) ?? [],
  )
  const acceptors = ACCEPTORS.map(({ acceptor }, at) => {
    const random = new Uint8Array(24).fill(at)
    return sealAcceptor(acceptor, SLOT, key, random, sodium)
  })
  const boundToSlot = concatBytes(TAGS.leaseBallot, fromHex(key.mesh), fromHex(SLOT))
  const plainAcceptors = acceptors.flatMap(
    (bytes) => sodium.decrypt(bytes.subarray(24), boundToSlot, bytes.subarray(0, 24), key.secret.expose()) ?? [],
  )
  const { secretKey } = sodium.signKeys('sign', new Uint8Array(32).fill(1))
  const ids = { mesh: 'e5'.repeat(32), agent: 'a9'.repeat(32), node: NODE, record: 'c1'.repeat(32) }
  const token = { ...ids, term: 300, act: new Uint8Array(16) } as Parameters<typeof signToken>[0]
  return [
    { name: 'openLease', samples, takes: (bytes) => openLease(bytes, NODE, key, sodium).ok },
    { name: 'decodeLease', samples: plain, takes: (bytes) => decodeLease(bytes).ok },
    { name: 'openAcceptor', samples: acceptors, takes: (bytes) => openAcceptor(bytes, SLOT, key, sodium).ok },
    { name: 'decodeAcceptor', samples: plainAcceptors, takes: (bytes) => decodeAcceptor(bytes).ok },
    {
      name: 'parseToken',
      samples: [utf8(signToken(token, secretKey, sodium))],
      takes: (bytes) => parseToken(text(bytes)).ok,
    },
  ]
}

function snapshots(sodium: Sodium): Decoder[] {
  const { kit, key, chunk, id, root } = buildSnapshot(sodium)
  return [
    {
      name: 'openRoot',
      samples: [root.bytes],
      takes: (bytes) => openRoot(bytes, { kit }, sodium) !== undefined,
    },
    {
      name: 'openChunk',
      samples: [chunk],
      takes: (bytes) => openChunk(id, bytes, key, sodium) !== undefined,
    },
  ]
}

function drills(sodium: Sodium): Decoder[] {
  const { report, signatures } = filedOf(FACTS, sodium)
  const [{ signature } = { signature: '' }] = signatures
  const words = [
    encodeWord({ word: 'ask', agent: report.agent.id, kind: 'shadow', last: null }),
    encodeWord({ word: 'moved', term: FACTS.point.term, freezeMs: 0, drainMs: 2, acquireMs: 30, vectors: ['', 'AQ'] }),
    encodeWord({ word: 'dying', vectors: ['AQ'] }),
    encodeWord({ word: 'report', report, signature }),
  ]
  return [
    { name: 'decodeFiled', samples: [encodeFiled({ report, signatures })], takes: (bytes) => decodeFiled(bytes).ok },
    { name: 'decodeWord', samples: words, takes: (bytes) => decodeWord(bytes) !== undefined },
    {
      name: 'parseVectorText',
      samples: [utf8(vectorText([{ incarnation: '1c'.repeat(16), sequence: 9, hash: 'ab'.repeat(32) } as Dot]))],
      takes: (bytes) => parseVectorText(text(bytes)) !== undefined,
    },
  ]
}

function relay(sodium: Sodium): Decoder[] {
  const mesh = new TestMesh(sodium, 'decoders')
  const founder = mesh.member('founder', { admin: true })
  const member = mesh.member('member', { by: founder, expiresMs: 5 })
  const draft = { mesh: mesh.id, loginKey: member.keys.publicKey, adminKey: member.sign.publicKey }
  return [
    {
      name: 'decodeFrame',
      samples: SAMPLES.map(({ frame }) => encodeFrame(frame)),
      takes: (bytes) => decodeFrame(bytes).ok,
    },
    {
      name: 'decodeTokenChain',
      samples: [founder, member].map(({ chain }) => encodeTokenChain(chain)),
      takes: (bytes) => decodeTokenChain(bytes).ok,
    },
    {
      name: 'decodeRevocation',
      samples: [
        signRevocation({ ...draft, chain: [] }, mesh.root.secretKey, sodium),
        signRevocation({ ...draft, adminKey: null, chain: founder.chain }, founder.sign.secretKey, sodium),
      ],
      takes: (bytes) => decodeRevocation(bytes).ok,
    },
    {
      name: 'parseRelayAddress',
      samples: [
        `wss://relay.example:443/a#relay=${'a1'.repeat(32)}&pin=${'b2'.repeat(32)}`,
        `ws://127.0.0.1:9#relay=${'a1'.repeat(32)}`,
      ].map(utf8),
      takes: (bytes) => {
        const address = parseRelayAddress(text(bytes))
        return address.ok && formatRelayAddress(address.value).length > 0
      },
    },
  ]
}

const incarnation = (at: number): IncarnationId => at.toString(16).padStart(32, '0') as IncarnationId
const hash = (at: number): BlockHash => at.toString(16).padStart(64, '0') as BlockHash

function links(sodium: Sodium): Uint8Array[] {
  const document = 'd0'.repeat(32) as DocumentId
  const entries = [1, 2, 3].map((at) => ({ incarnation: incarnation(at), sequence: at, hash: hash(at) }))
  return [makeLink({ document, parent: null, count: 3, entries }, sodium).bytes]
}

/** States on the disk: their two parts as one input, split where the longest sample's hashes begin. */
function registers(): Pick<Decoder, 'samples' | 'takes'> {
  const map = new RegisterMap()
  for (let at = 1; at < 12; at++)
    map.write(`k${at % 5}`, at % 4 === 0 ? undefined : `v${at}`, {
      dot: { incarnation: incarnation(1 + (at % 3)), sequence: at, hash: hash(at) },
      author: (at % 3).toString(16).padStart(64, '0') as NodeId,
      time: { wallMs: 1_000 + at, counter: at % 2 },
    })
  const { state, hashes } = encodeRegisters(map)
  const split = (bytes: Uint8Array): EncodedRegisters => {
    const end = Math.max(0, bytes.length - hashes.length)
    return { state: bytes.subarray(0, end), hashes: bytes.subarray(end) }
  }
  return { samples: [concatBytes(state, hashes)], takes: (bytes) => decodeRegisters(split(bytes)).ok }
}

/** What the runs of the vectors hold, read as an update of the first one's author. */
function texts(rows: readonly Uint8Array[], sodium: Sodium): Pick<Decoder, 'samples' | 'takes'> {
  const runs = rows.flatMap((row) => {
    const run = decodeRun(row.subarray(1), sodium)
    return run.ok ? [run.value] : []
  })
  const client = clientIdOf(runs[0]!.end.header.incarnation)
  return {
    samples: runs.map(({ update }) => update),
    takes: (bytes) => typeof readTextUpdate(bytes, client, 0) !== 'string',
  }
}

/** Heads of the framing `compact`, which are byte strings. */
function compactFrames(): Decoder[] {
  const byteString = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
  const bytes = (head: string): Uint8Array => Uint8Array.from(Buffer.from(head, 'latin1'))
  const about = { type: 'text', priority: 2, correlation: 'c', hops: 3, parents: ['p', 'q'], durable: true } as const
  const send = { as: 7, request: 1, to: 'bob@office', id: 'm1', expiresMs: 5, ...about, parents: ['p', 'q'] }
  const at = '2026-11-20T14:03:05.120Z'
  const told = { version: 1, id: 'm1', from: 'a@h', to: '*', sentAt: at, expiresAt: at, ...about, parents: [] } as const
  return [
    {
      name: 'decodeSend',
      samples: [bytes(encodeSend(send)), bytes(encodeSend({ ...send, parents: [], correlation: null }))],
      takes: (input) => {
        const head = decodeSend(byteString(input))
        return head !== undefined && (isSoundSend(head) || true)
      },
    },
    {
      name: 'decodeDelivery',
      samples: [bytes(encodeDeliveryStart(7, 9) + encodeDelivery({ ...told, parents: [] }))],
      takes: (input) => decodeDelivery(byteString(input), null) !== undefined,
    },
    {
      name: 'decodeSent',
      samples: [bytes(encodeSent({ request: 1, id: 'm1', delivered: 1, waiting: 0, refused: 0 }))],
      takes: (input) => decodeSent(byteString(input)) !== undefined,
    },
  ]
}

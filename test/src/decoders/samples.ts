import type { Dot } from '@sealmesh/protocol/crdt/clock'
import type { AgentId, BlockHash, ClosedDigest, IncarnationId, MailboxId } from '@sealmesh/protocol/ids'
import type { SealPublicKey } from '@sealmesh/protocol/keys'
import type { NodeIdentity } from '@sealmesh/protocol/membership/record'
import type { PairingMessage } from '@sealmesh/protocol/pairing/message'
import type { SyncItem } from '@sealmesh/protocol/sync/payload'

const document = { agent: 'a9'.repeat(32) as AgentId, layer: 'semantic' }
const digest = 'f1'.repeat(32) as ClosedDigest
const dot = (byte: string, sequence: number): Dot => ({
  incarnation: byte.repeat(16) as IncarnationId,
  sequence,
  hash: `${byte}ff`.repeat(16) as BlockHash,
})

/** Of each kind of item that sync packets carry, one. */
const ITEMS: { readonly [Type in SyncItem['type']]: Extract<SyncItem, { type: Type }> } = {
  records: { type: 'records', records: [new Uint8Array([1, 2, 3])] },
  blocks: { type: 'blocks', blocks: [new Uint8Array(90), new Uint8Array([9])] },
  vectors: {
    type: 'vectors',
    asks: true,
    documents: [
      { document, floor: { digest, upTo: dot('22', 1).incarnation }, vector: [dot('33', 4)] },
      { document: { ...document, layer: 'other' }, vector: [dot('11', 7), dot('22', 300)] },
    ],
  },
  heads: { type: 'heads', fresh: true, root: new Uint8Array(32).fill(5), documents: 300 },
  'want-records': { type: 'want-records' },
  failover: { type: 'failover', word: 'heads?', agent: document.agent, nonce: new Uint8Array(16).fill(4) },
  buckets: {
    type: 'buckets',
    buckets: [0, 7, 255].map((bucket) => ({ bucket, digest: new Uint8Array(32).fill(bucket) })),
  },
  pruned: {
    type: 'pruned',
    document,
    floor: { digest, upTo: null },
    ends: [
      { dot: dot('11', 7), heard: [] },
      { dot: dot('22', 300), heard: [dot('11', 5)] },
    ],
    rows: [
      { after: 0, bytes: Uint8Array.of(1, 2, 3) },
      { after: 299, bytes: Uint8Array.of(4) },
    ],
  },
  'want-closed': { type: 'want-closed', document, digest },
  closed: { type: 'closed', document, links: [Uint8Array.of(1, 2), Uint8Array.of(3)] },
  drill: { type: 'drill', drill: 'd1'.repeat(16), body: new Uint8Array([1, 2]) },
  letters: {
    type: 'letters',
    letters: [
      { sender: document.agent, recipients: ['b2'.repeat(32) as AgentId], message: Uint8Array.of(123, 125) },
      { sender: document.agent, recipients: [], message: Uint8Array.of() },
    ],
  },
  'letters-taken': {
    type: 'letters-taken',
    answers: (['taken', 'full', 'refused', 'handed', 'acknowledged', 'expired', 'dropped'] as const).map(
      (outcome, at) => ({
        sender: document.agent,
        recipient: 'b2'.repeat(32) as AgentId,
        id: `id-${at}`,
        outcome,
        atMs: 1_795_000_000_000 + at,
      }),
    ),
  },
  awareness: { type: 'awareness', document, update: new Uint8Array([1, 2]) },
}

export const PAYLOADS: readonly { readonly name: string; readonly items: readonly SyncItem[] }[] = Object.values(
  ITEMS,
).map((item) => ({ name: item.type, items: [item] }))

/** Of each kind of pairing message, one. */
export function pairingMessages(identity: NodeIdentity): PairingMessage[] {
  const session = '5e'.repeat(16)
  const hash = new Uint8Array(32).fill(7)
  return [
    { type: 'join', session, joiner: { identity, prekey: hash as SealPublicKey }, commitment: hash },
    { type: 'accept', session, commitment: hash },
    { type: 'reveal', session, nonce: hash },
    { type: 'want', session, next: 8 },
    { type: 'chunk', session, index: 1, count: 2, bytes: hash },
    { type: 'done', session },
    { type: 'refuse', session, reason: 'LINK_USED' },
    { type: 'offer', session, point: hash, mailbox: '5e'.repeat(32) as MailboxId },
    { type: 'answer', session, point: hash, proof: hash },
    { type: 'link', session, sealed: hash },
    { type: 'canary', session, box: new Uint8Array(80).fill(7) },
    { type: 'proof', session, proof: new Uint8Array(160).fill(7) },
  ]
}

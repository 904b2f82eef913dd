import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Dot, VersionVector } from '@sealmesh/protocol/crdt/clock'
import { mintIncarnation, SALT_BYTES } from '@sealmesh/protocol/crdt/incarnation'
import type { AgentId, BlockHash, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { PeerSync } from '@sealmesh/protocol/sync/peer-sync'
import { expect, test } from 'vitest'
import { fakeSodium, sha } from './fake-sodium.ts'

/** Documents that not both ends read, so that no heads speak of them. */

const documents: readonly DocumentName[] = ['semantic', 'episodic'].map((layer) => ({
  agent: sha('agent') as AgentId,
  layer,
}))
const LOG_HEADS = [sha('log') as RecordHash]
const byIncarnation = (a: Dot, b: Dot): number => (a.incarnation < b.incarnation ? -1 : 1)
const ENDS = { me: sha('me') as NodeId, peer: sha('peer') as NodeId }

test('what a peer named while it read a document is neither missing nor to be sent once it reads it no more', () => {
  const core = new PeerSync(fakeSodium, ENDS)
  const name = documents[0]!
  const dot = (node: NodeId): Dot => ({
    incarnation: mintIncarnation(node, new Uint8Array(SALT_BYTES), fakeSodium),
    sequence: 6,
    hash: sha(node) as BlockHash,
  })
  const [mine, theirs] = [dot(ENDS.me), dot(ENDS.peer)]
  core.share({ name, peerReads: true, bothRead: true, vector: [mine], receipted: [] })
  const named = [{ type: 'vectors' as const, asks: false, documents: [{ document: name, vector: [mine] }] }]
  core.heard(named, LOG_HEADS, false, 1)
  core.share({ name, peerReads: false, bothRead: false, vector: [mine], receipted: [] })
  expect(core.view()).toMatchObject({ toSend: 0, toReceive: 0 })
  core.heard(named, LOG_HEADS, false, 2)
  expect(core.view().toReceive).toBe(0)
  const both = [{ ...named[0]!, documents: [{ document: name, vector: [mine, theirs].sort(byIncarnation) }] }]
  core.heard(both, LOG_HEADS, false, 3)
  expect(core.view().toReceive).toBe(6)
})

test('a writer that has lost what it wrote and may not read is not waiting for it', () => {
  const core = new PeerSync(fakeSodium, ENDS)
  const name = documents[0]!
  const incarnation = mintIncarnation(ENDS.me, new Uint8Array(SALT_BYTES), fakeSodium)
  const upTo = (sequence: number): VersionVector => [{ incarnation, sequence, hash: sha(`${sequence}`) as BlockHash }]
  const [kept, lost] = [upTo(2), upTo(6)]
  core.share({ name, peerReads: true, bothRead: false, vector: kept, receipted: [] })
  core.heard([{ type: 'vectors', asks: false, documents: [{ document: name, vector: lost }] }], LOG_HEADS, false, 1)
  expect(core.view()).toMatchObject({ toSend: 0, toReceive: 0 })
  core.share({ name, peerReads: true, bothRead: true, vector: kept, receipted: [] })
  core.heard([{ type: 'vectors', asks: false, documents: [{ document: name, vector: lost }] }], LOG_HEADS, false, 2)
  expect(core.view().toReceive).toBe(4)
})

test('a reader that was restored says so to a writer that may not read, since no heads would', () => {
  const core = new PeerSync(fakeSodium, ENDS)
  const name = documents[0]!
  const vector: VersionVector = [
    {
      incarnation: mintIncarnation(ENDS.peer, new Uint8Array(SALT_BYTES), fakeSodium),
      sequence: 2,
      hash: sha('x') as BlockHash,
    },
  ]
  const said = () => core.plan(1_000)?.items.filter(({ type }) => type === 'vectors')
  core.share({ name, peerReads: false, bothRead: false, vector, receipted: [] })
  expect(said()).toMatchObject([{ asks: false, documents: [{ document: name, vector }] }])
  core.share({ name, peerReads: true, bothRead: true, vector, receipted: [] })
  core.planned(core.plan(1_000)!, [])
  expect(said() ?? []).toEqual([])
  core.share({ name, peerReads: false, bothRead: false, vector, receipted: [] })
  expect(core.plan(2_000)?.items.filter(({ type }) => type === 'vectors')).toHaveLength(1)
})

test('a writer asks at fresh heads for what only the other one reads and had receipted', () => {
  const core = new PeerSync(fakeSodium, ENDS)
  const name = documents[0]!
  const incarnation = mintIncarnation(ENDS.me, new Uint8Array(SALT_BYTES), fakeSodium)
  const vector: VersionVector = [{ incarnation, sequence: 2, hash: sha('x') as BlockHash }]
  core.share({ name, peerReads: true, bothRead: false, vector, receipted: vector })
  const heads = (fresh: boolean) => [{ type: 'heads', fresh, root: core.root(), documents: 0 }] as const
  core.heard(heads(false), [], false, 1_000)
  expect(core.plan(2_000)?.items.filter(({ type }) => type === 'vectors') ?? []).toEqual([])
  core.heard(heads(true), [], false, 3_000)
  const plan = core.plan(4_000)!
  expect(plan.items).toContainEqual({ type: 'vectors', asks: true, documents: [{ document: name, vector }] })
  core.planned(plan, [])
  expect(core.view().toSend).toBe(0)
  // It has none of it any more.
  core.heard([{ type: 'vectors', asks: false, documents: [{ document: name, vector: [] }] }], [], false, 5_000)
  expect(core.view().toSend).toBe(2)
})

test('fresh heads that come while the mail is unread are not forgotten', () => {
  const core = new PeerSync(fakeSodium, ENDS)
  const name = documents[0]!
  const incarnation = mintIncarnation(ENDS.me, new Uint8Array(SALT_BYTES), fakeSodium)
  const vector: VersionVector = [{ incarnation, sequence: 2, hash: sha('x') as BlockHash }]
  core.share({ name, peerReads: true, bothRead: false, vector, receipted: vector })
  core.readMail()
  core.heard([{ type: 'heads', fresh: true, root: core.root(), documents: 0 }], [], false, 1_000)
  const asked = { type: 'vectors', asks: true, documents: [{ document: name, vector }] }
  expect(core.plan(1_500)?.items ?? []).not.toContainEqual(asked)
  core.greet(2_000)
  expect(core.plan(2_500)?.items).toContainEqual(asked)
})

test('a question about what no heads speak of is asked again when its answer does not come', () => {
  const core = new PeerSync(fakeSodium, ENDS)
  const name = documents[0]!
  const incarnation = mintIncarnation(ENDS.me, new Uint8Array(SALT_BYTES), fakeSodium)
  const vector: VersionVector = [{ incarnation, sequence: 2, hash: sha('x') as BlockHash }]
  core.share({ name, peerReads: true, bothRead: false, vector, receipted: vector })
  const heads = (fresh: boolean) => [{ type: 'heads', fresh, root: core.root(), documents: 0 }] as const
  const asked = { type: 'vectors', asks: true, documents: [{ document: name, vector }] }
  core.heard(heads(true), [], false, 1_000)
  core.planned(core.plan(1_500)!, [])
  core.heard(heads(false), [], false, 5_000)
  expect(core.plan(5_500)?.items ?? []).not.toContainEqual(asked)
  core.heard(heads(false), [], false, 12_000)
  expect(core.plan(12_500)?.items).toContainEqual(asked)
  core.planned(core.plan(12_500)!, [])
  core.heard([{ type: 'vectors', asks: false, documents: [{ document: name, vector }] }], [], false, 13_000)
  core.heard(heads(false), [], false, 30_000)
  expect(core.plan(30_500)?.items ?? []).not.toContainEqual(asked)
})

test('nothing is asked about a document that neither reads any more', () => {
  const core = new PeerSync(fakeSodium, ENDS)
  const name = documents[0]!
  const own = mintIncarnation(ENDS.me, new Uint8Array(SALT_BYTES), fakeSodium)
  const theirs = mintIncarnation(ENDS.peer, new Uint8Array(SALT_BYTES), fakeSodium)
  const of = (incarnation: typeof own): VersionVector => [{ incarnation, sequence: 2, hash: sha('x') as BlockHash }]
  core.share({ name, peerReads: false, bothRead: false, vector: of(theirs), receipted: [] })
  core.planned(core.plan(500)!, [])
  core.heard([{ type: 'vectors', asks: false, documents: [{ document: name, vector: of(own) }] }], [], false, 1_000)
  expect(core.plan(1_500)?.items.filter(({ type }) => type === 'vectors') ?? []).toEqual([])
})

test('who reads a document no more owes no answer about it', () => {
  const core = new PeerSync(fakeSodium, ENDS)
  const name = documents[0]!
  const incarnation = mintIncarnation(ENDS.me, new Uint8Array(SALT_BYTES), fakeSodium)
  const vector: VersionVector = [{ incarnation, sequence: 2, hash: sha('x') as BlockHash }]
  const heads = (fresh: boolean) => [{ type: 'heads', fresh, root: core.root(), documents: 0 }] as const
  core.share({ name, peerReads: true, bothRead: false, vector, receipted: vector })
  core.heard(heads(true), [], false, 1_000)
  core.planned(core.plan(1_500)!, [])
  expect(core.headsView().documents).toHaveLength(1)
  core.share({ name, peerReads: false, bothRead: false, vector, receipted: vector })
  core.planned(core.plan(2_000)!, [])
  expect(core.headsView().documents).toHaveLength(0)
  core.heard(heads(false), [], false, 20_000)
  expect(core.plan(20_500)?.items.filter((item) => item.type === 'vectors' && item.asks) ?? []).toEqual([])
})

test('what a writer has lost is given back by who may not read it any more', () => {
  const ends = { writer: ENDS.me, former: ENDS.peer }
  const writer = new PeerSync(fakeSodium, { me: ends.writer, peer: ends.former })
  const former = new PeerSync(fakeSodium, { me: ends.former, peer: ends.writer })
  const name = documents[0]!
  const incarnation = mintIncarnation(ends.writer, new Uint8Array(SALT_BYTES), fakeSodium)
  const vector: VersionVector = [{ incarnation, sequence: 2, hash: sha('x') as BlockHash }]
  const rights = { peerReads: false, bothRead: false }
  // It was put back to before it had written anything.
  writer.share({ name, ...rights, iRead: true, vector: [], receipted: [] })
  former.share({ name, peerReads: true, bothRead: false, iRead: false, vector, receipted: [] })
  expect(former.view().toSend).toBe(0)
  let nowMs = 1_000
  const say = (from: PeerSync, to: PeerSync): void => {
    const plan = from.plan(nowMs)
    if (plan === null) return
    from.planned(plan, [])
    to.heard(plan.items, [], false, nowMs)
    nowMs += 1_500
  }
  writer.greet(nowMs)
  for (let turn = 0; turn < 4; turn++) {
    say(writer, former)
    say(former, writer)
  }
  expect(writer.view().toReceive).toBe(2)
  expect(former.plan(nowMs)?.pushes).toEqual([{ name, after: [] }])
  // It has come: the writer says so by no name, and is asked for nothing more.
  writer.advanced(name, vector, false)
  expect(writer.view().toReceive).toBe(0)
  former.planned(former.plan(nowMs)!, [{ document: name, vector }])
  writer.owesReceipt(name)
  for (let turn = 0; turn < 4; turn++) {
    say(writer, former)
    say(former, writer)
  }
  expect(former.view().toSend).toBe(0)
  expect(former.plan(nowMs + 60_000)?.pushes ?? []).toEqual([])
})

test('a question names of the own blocks no more than the other one has named', () => {
  const core = new PeerSync(fakeSodium, ENDS)
  const name = documents[0]!
  const of = (node: NodeId, sequence: number, hash: string, salt = 0): Dot => ({
    incarnation: mintIncarnation(node, new Uint8Array(SALT_BYTES).fill(salt), fakeSodium),
    sequence,
    hash: sha(hash) as BlockHash,
  })
  const [kept, newer, theirs] = [of(ENDS.me, 9, 'nine'), of(ENDS.me, 4, 'since', 1), of(ENDS.peer, 1, 'one')]
  const vector = [kept, newer, theirs].toSorted(byIncarnation)
  core.share({ name, peerReads: false, bothRead: false, iRead: true, vector, receipted: [] })
  core.planned(core.plan(500)!, [])
  const [known, more] = [of(ENDS.me, 5, 'five'), of(ENDS.peer, 3, 'three')]
  const said = [known, more].toSorted(byIncarnation)
  core.heard([{ type: 'vectors', asks: false, documents: [{ document: name, vector: said }] }], [], false, 1_000)
  const asked = core.plan(2_000)?.items.find((item) => item.type === 'vectors' && item.asks)
  expect(asked).toEqual({
    type: 'vectors',
    asks: true,
    documents: [{ document: name, vector: [known, theirs].toSorted(byIncarnation) }],
  })
})

import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Dot, VersionVector } from '@sealmesh/protocol/crdt/clock'
import { mintIncarnation, SALT_BYTES } from '@sealmesh/protocol/crdt/incarnation'
import type { AgentId, BlockHash, IncarnationId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { decodePayload, encodePayload, type SyncItem } from '@sealmesh/protocol/sync/payload'
import { keyOf, PeerSync } from '@sealmesh/protocol/sync/peer-sync'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fakeSodium, sha } from './fake-sodium.ts'

const documents: readonly DocumentName[] = ['semantic', 'episodic'].map((layer) => ({
  agent: sha('agent') as AgentId,
  layer,
}))
const ENDS = { me: sha('me') as NodeId, peer: sha('peer') as NodeId }
const LOG_HEADS = [sha('log') as RecordHash]

/** Blocks are only counted: an incarnation's block n has a hash made from both, and its bytes name all three. */
const hashOf = (incarnation: string, sequence: number): BlockHash => sha(`${incarnation}/${sequence}`) as BlockHash
const blockBytes = (document: DocumentName, incarnation: string, sequence: number): Uint8Array =>
  new TextEncoder().encode(`${document.layer} ${incarnation} ${sequence}`)

class Node {
  readonly incarnation: IncarnationId
  readonly has = new Map<string, Map<string, number>>()
  readonly receipted = new Map<string, VersionVector>()
  core = new PeerSync(fakeSodium, ENDS)
  sentPackets = 0
  /** How far the last packet's blocks go. */
  reached: { document: DocumentName; vector: VersionVector }[] = []

  constructor(name: string) {
    this.incarnation = sha(name).slice(0, 32) as IncarnationId
    for (const document of documents) this.has.set(keyOf(document), new Map())
  }

  vector(document: DocumentName): VersionVector {
    const dots: Dot[] = [...(this.has.get(keyOf(document)) ?? [])].map(([incarnation, sequence]) => ({
      incarnation: incarnation as IncarnationId,
      sequence,
      hash: hashOf(incarnation, sequence),
    }))
    return dots.sort((a, b) => (a.incarnation < b.incarnation ? -1 : 1))
  }

  share(): void {
    this.core.setShared(
      documents.map((name) => ({
        name,
        peerReads: true,
        bothRead: true,
        vector: this.vector(name),
        receipted: this.receipted.get(keyOf(name)) ?? [],
      })),
    )
    this.core.logChanged(LOG_HEADS)
  }

  write(document: DocumentName): void {
    const mine = this.has.get(keyOf(document)) as Map<string, number>
    mine.set(this.incarnation, (mine.get(this.incarnation) ?? 0) + 1)
    this.core.advanced(document, this.vector(document), true)
  }

  /** Everything on disk stays; what the core guessed is gone. */
  restart(): void {
    this.core = new PeerSync(fakeSodium, ENDS)
    this.share()
  }

  /** The next packet, or undefined; at most three blocks each, so that catching up takes several. */
  next(nowMs: number): Uint8Array | undefined {
    const plan = this.core.plan(nowMs)
    if (plan === null) return undefined
    const blocks: Uint8Array[] = []
    const reached: { document: DocumentName; vector: VersionVector }[] = []
    for (const push of plan.pushes) {
      const vector = new Map(push.after.map((dot) => [dot.incarnation as string, dot.sequence]))
      for (const [incarnation, sequence] of this.has.get(keyOf(push.name)) ?? [])
        for (let at = (vector.get(incarnation) ?? 0) + 1; at <= sequence && blocks.length < 3; at++) {
          blocks.push(blockBytes(push.name, incarnation, at))
          vector.set(incarnation, at)
        }
      reached.push({
        document: push.name,
        vector: [...vector]
          .map(([incarnation, sequence]) => ({
            incarnation: incarnation as IncarnationId,
            sequence,
            hash: hashOf(incarnation, sequence),
          }))
          .sort((a, b) => (a.incarnation < b.incarnation ? -1 : 1)),
      })
    }
    this.core.planned(plan, reached)
    this.reached = reached
    this.sentPackets += 1
    return encodePayload(blocks.length > 0 ? [...plan.items, { type: 'blocks', blocks }] : plan.items)
  }

  take(payload: Uint8Array, nowMs: number): void {
    const items = decodePayload(payload)
    if (!items.ok) throw new Error('our own payload did not decode')
    for (const item of items.value)
      if (item.type === 'blocks') for (const bytes of item.blocks) this.#store(bytes, nowMs)
    for (const { document, vector } of this.core.heard(items.value, LOG_HEADS, false, nowMs))
      this.receipted.set(keyOf(document), vector)
  }

  #store(bytes: Uint8Array, nowMs: number): void {
    const [layer, incarnation = '', sequence] = new TextDecoder().decode(bytes).split(' ')
    const document = documents.find((each) => each.layer === layer) as DocumentName
    const mine = this.has.get(keyOf(document)) as Map<string, number>
    const have = mine.get(incarnation) ?? 0
    if (Number(sequence) === have + 1) {
      mine.set(incarnation, have + 1)
      this.core.advanced(document, this.vector(document), false)
    } else if (Number(sequence) > have + 1) this.core.ask(document, nowMs)
    this.core.owesReceipt(document)
  }
}

type Step =
  | { do: 'write'; node: 0 | 1; document: 0 | 1 }
  | { do: 'carry'; from: 0 | 1; fate: 'deliver' | 'lose' | 'twice' | 'hold' }
  | { do: 'release' }
  | { do: 'wait'; ms: number }
  | { do: 'reconnect'; node: 0 | 1 }
  | { do: 'restart'; node: 0 | 1 }
  | { do: 'refuse'; node: 0 | 1; whom: 'link' | 'relay' }

const side = fc.constantFrom(0 as const, 1 as const)
const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('write' as const), node: side, document: side }) },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('carry' as const),
        from: side,
        fate: fc.constantFrom(
          'deliver' as const,
          'deliver' as const,
          'lose' as const,
          'twice' as const,
          'hold' as const,
        ),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('release' as const) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 15_000 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('reconnect' as const), node: side }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), node: side }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('refuse' as const),
        node: side,
        whom: fc.constantFrom('link' as const, 'relay' as const),
      }),
    },
  ) as fc.Arbitrary<Step>,
  { maxLength: 120 },
)

test('T-relay-7: whatever was lost, doubled, held back or refused, both sides end equal, know it, and fall silent', () => {
  fc.assert(
    fc.property(steps, (history) => {
      const nodes = [new Node('home'), new Node('office')] as const
      const held: { to: 0 | 1; payload: Uint8Array }[] = []
      let nowMs = 0
      for (const node of nodes) {
        node.share()
        node.core.greet(nowMs)
      }
      const carry = (from: 0 | 1, fate: 'deliver' | 'lose' | 'twice' | 'hold'): boolean => {
        const to = from === 0 ? 1 : 0
        const payload = nodes[from].next(nowMs)
        if (payload === undefined) return false
        // What the relay took and lost all the same, only the heads can show.
        if (fate !== 'lose' || nodes[from].sentPackets % 2 === 0) nodes[from].core.handedOver(nodes[from].reached)
        if (fate === 'hold') held.push({ to, payload })
        else if (fate !== 'lose') nodes[to].take(payload, nowMs)
        if (fate === 'twice') nodes[to].take(payload, nowMs)
        return true
      }
      for (const step of history) {
        switch (step.do) {
          case 'write':
            nodes[step.node].write(documents[step.document] as DocumentName)
            break
          case 'carry':
            carry(step.from, step.fate)
            break
          case 'release': {
            const next = held.shift()
            if (next !== undefined) nodes[next.to].take(next.payload, nowMs)
            break
          }
          case 'wait':
            nowMs += step.ms
            for (const node of nodes) node.core.tick(nowMs)
            break
          case 'reconnect':
            nodes[step.node].core.greet(nowMs)
            break
          case 'restart':
            nodes[step.node].restart()
            nodes[step.node].core.greet(nowMs)
            break
          case 'refuse':
            nodes[step.node].core.doubt(step.whom)
            break
        }
      }
      // Faults end. Within a few heartbeats nothing may be missing, and nobody may go on talking.
      for (let beat = 0; beat < 6; beat++) {
        nowMs += 10_000
        for (const node of nodes) node.core.tick(nowMs)
        let packets = 0
        while ((carry(0, 'deliver') || carry(1, 'deliver')) && packets < 1_000) {
          packets += 1
          nowMs += 20 // Receipts wait for one another this long.
        }
        expect(packets).toBeLessThan(1_000)
      }
      for (const document of documents) expect(nodes[0].vector(document)).toEqual(nodes[1].vector(document))
      for (const node of nodes) expect(node.core.view()).toMatchObject({ toSend: 0, toReceive: 0 })
      const before = nodes.map((node) => node.sentPackets)
      expect(carry(0, 'deliver') || carry(1, 'deliver')).toBe(false)
      expect(nodes.map((node) => node.sentPackets)).toEqual(before)
    }),
    { numRuns: 1_000 },
  )
})

test('T-relay-7: a peer that lost its disk is sent everything again', () => {
  const [home, office] = [new Node('home'), new Node('office')]
  for (const node of [home, office]) {
    node.share()
    node.core.greet(0)
  }
  for (let i = 0; i < 10; i++) home.write(documents[0] as DocumentName)
  const talk = (nowMs: number): void => {
    for (let i = 0; i < 200; i++) {
      const at = nowMs + i * 20
      const a = home.next(at)
      if (a !== undefined) office.take(a, nowMs)
      const b = office.next(at)
      if (b !== undefined) home.take(b, nowMs)
    }
  }
  talk(0)
  expect(home.core.view().toSend).toBe(0)
  office.has.forEach((each) => each.clear())
  office.receipted.clear()
  office.restart()
  office.core.greet(20_000)
  talk(20_000)
  expect(office.vector(documents[0] as DocumentName)).toEqual(home.vector(documents[0] as DocumentName))
})

test('a large document does not keep out what is written to others meanwhile', () => {
  const home = new Node('home')
  home.share()
  for (let i = 0; i < 100; i++) home.write(documents[0] as DocumentName)
  for (let packet = 0; packet < 5; packet++) expect(home.next(0)).toBeDefined()
  home.write(documents[1] as DocumentName)
  expect(home.next(0)).toBeDefined() // It may just have been the large one's turn.
  const [first] = home.core.plan(0)?.pushes ?? []
  expect(first?.name).toEqual(documents[1])
})

test('a peer that is away gets no second copy of what it may not say that it has', () => {
  const home = new Node('home')
  const away = documents[0] as DocumentName
  home.core.setShared([{ name: away, peerReads: true, bothRead: false, vector: [], receipted: [] }])
  home.core.advanced(away, [], true)
  for (let nowMs = 0; nowMs < 600_000; nowMs += 10_000) {
    home.core.tick(nowMs)
    expect(home.core.plan(nowMs)?.pushes ?? []).toEqual([])
  }
})

test('a payload decodes to what was encoded, and no bytes make the decoder throw', () => {
  const items: SyncItem[] = [
    { type: 'records', records: [new Uint8Array([1, 2, 3])] },
    { type: 'blocks', blocks: [new Uint8Array(300), new Uint8Array([9])] },
    {
      type: 'vectors',
      asks: true,
      documents: [
        {
          document: documents[0] as DocumentName,
          vector: [{ incarnation: sha('i').slice(0, 32) as IncarnationId, sequence: 7, hash: hashOf('i', 7) }],
        },
      ],
    },
    { type: 'heads', fresh: true, root: new Uint8Array(32).fill(5), documents: 300 },
    { type: 'want-records' },
    { type: 'buckets', buckets: [0, 7, 255].map((bucket) => ({ bucket, digest: new Uint8Array(32).fill(bucket) })) },
    { type: 'awareness', document: documents[0] as DocumentName, update: new Uint8Array([1, 2]) },
  ]
  const bytes = encodePayload(items)
  expect(decodePayload(bytes)).toEqual({ ok: true, value: items })
  fc.assert(
    fc.property(
      fc.nat(bytes.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.nat(bytes.length),
      (at, flip, length) => {
        const broken = bytes.slice(0, length)
        if (at < length) broken[at] = (broken[at] ?? 0) ^ flip
        const decoded = decodePayload(broken)
        expect(typeof decoded.ok).toBe('boolean')
      },
    ),
    { numRuns: 5_000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      expect(typeof decodePayload(noise).ok).toBe('boolean')
    }),
    { numRuns: 5_000 },
  )
})

describe('what is owed', () => {
  const [name] = documents as [DocumentName]
  const tip = (incarnation: IncarnationId, sequence: number): Dot => ({
    incarnation,
    sequence,
    hash: hashOf(incarnation, sequence),
  })
  const theirs = mintIncarnation(ENDS.peer, new Uint8Array(SALT_BYTES), fakeSodium)
  const mine = mintIncarnation(ENDS.me, new Uint8Array(SALT_BYTES), fakeSodium)
  const core = () => {
    const core = new PeerSync(fakeSodium, ENDS)
    core.setShared([{ name, peerReads: true, bothRead: true, vector: [], receipted: [] }])
    core.logChanged(LOG_HEADS)
    return core
  }

  test('a peer is not waited for to say that it has what it wrote itself', () => {
    const sync = core()
    sync.advanced(name, [tip(theirs, 1)], false)
    expect(sync.view().toSend).toBe(0)
    sync.advanced(name, [tip(theirs, 1), tip(mine, 1)].toSorted(byIncarnation), true)
    expect(sync.view().toSend).toBe(1)
  })

  test('a receipt for what comes while a packet is made goes with the next one', () => {
    const sync = core()
    sync.advanced(name, [tip(theirs, 1)], false)
    sync.owesReceipt(name)
    const plan = sync.plan(0)
    sync.advanced(name, [tip(theirs, 2)], false)
    sync.owesReceipt(name)
    if (plan !== null) sync.planned(plan, [])
    const next = sync.plan(1_000)?.items.find((item) => item.type === 'vectors')
    expect(next?.type === 'vectors' && next.documents[0]?.vector).toEqual([tip(theirs, 2)])
  })

  test('so much of what is not here may be named in a second, and what is here as often as a peer likes', () => {
    const sync = core()
    const long = Array.from({ length: 60_000 }, (_, at) => tip(at.toString(16).padStart(32, '0') as IncarnationId, 1))
    const say = (vector: VersionVector, nowMs: number) =>
      sync.heard([{ type: 'vectors', asks: false, documents: [{ document: name, vector }] }], LOG_HEADS, false, nowMs)
    const heard = (vector: VersionVector, nowMs: number) => say(vector, nowMs).length === 1
    expect([0, 1, 2, 3].map((nowMs) => heard(long, nowMs))).toEqual([true, true, false, false])
    expect(heard(long.slice(0, 1_000), 4)).toBe(true)
    expect(heard(long, 1_000)).toBe(true)
    sync.advanced(name, long, false)
    expect(Array.from({ length: 9 }, (_, at) => heard(long, 1_001 + at))).not.toContain(false)
  })
})

const byIncarnation = (a: Dot, b: Dot): number => (a.incarnation < b.incarnation ? -1 : 1)

test('T-relay-9: what differs is held against the log that the peer named last: another log accuses nobody', () => {
  const core = new PeerSync(fakeSodium, ENDS)
  const other = [sha('another log') as RecordHash]
  core.logChanged(LOG_HEADS)
  expect(core.headsView().sameLog).toBe(false)
  core.heard([], LOG_HEADS, false, 1)
  expect(core.headsView().sameLog).toBe(true)
  core.logChanged(other)
  expect(core.headsView().sameLog).toBe(false)
  core.logChanged(LOG_HEADS)
  expect(core.headsView().sameLog).toBe(true)
})

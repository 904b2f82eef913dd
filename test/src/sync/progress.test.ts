import { createHash } from 'node:crypto'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { coversDot, isAncestorBySequence, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import { mintIncarnation, SALT_BYTES } from '@sealmesh/protocol/crdt/incarnation'
import type { AgentId, BlockHash, IncarnationId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { PeerSync } from '@sealmesh/protocol/sync/peer-sync'
import fc from 'fast-check'
import { expect, test } from 'vitest'

/** What an acknowledgement may rely on: the relay's *stored* and the peer's word, each only as far as it goes. */

const sodium = {
  hash: (parts: readonly Uint8Array[]) => {
    const hash = createHash('sha256')
    for (const part of parts) hash.update(part)
    return new Uint8Array(hash.digest())
  },
} as unknown as Sodium
const sha = (text: string): string => createHash('sha256').update(text).digest('hex')
const ME = sha('me') as NodeId
const PEER = sha('peer') as NodeId
const NAME: DocumentName = { agent: sha('agent') as AgentId, layer: 'semantic' }
const KNOWN = [sha('known') as RecordHash]
const UNKNOWN = [sha('unknown') as RecordHash]
const incarnation: IncarnationId = mintIncarnation(ME, new Uint8Array(SALT_BYTES), sodium)

const upTo = (sequence: number): VersionVector =>
  sequence === 0 ? [] : [{ incarnation, sequence, hash: sha(`block ${sequence}`) as BlockHash }]
const covers = (vector: VersionVector, sequence: number): boolean =>
  upTo(sequence).every((dot) => coversDot(vector, dot, isAncestorBySequence))

function coreWith(blocks: number): PeerSync {
  const core = new PeerSync(sodium, { me: ME, peer: PEER })
  core.setShared([{ name: NAME, peerReads: true, bothRead: true, vector: upTo(blocks), receipted: [] }])
  core.logChanged(KNOWN)
  return core
}

const word = (sequence: number, asks = false) =>
  ({ type: 'vectors', asks, documents: [{ document: NAME, vector: upTo(sequence) }] }) as const
const packet = (from: number, to: number) => ({ document: NAME, after: upTo(from), vector: upTo(to) })
const storedTo = (core: PeerSync): number =>
  [4, 3, 2, 1].find((sequence) => covers(core.progress(NAME)!.stored, sequence)) ?? 0

test('what the relay stored counts from the first block on, without a hole', () => {
  const core = coreWith(4)
  core.storedAtRelay([packet(0, 2)])
  expect(storedTo(core)).toBe(2)
  core.storedAtRelay([packet(2, 3)])
  expect(storedTo(core)).toBe(3)
})

test('a packet that was delivered and not receipted is a hole; its receipt closes it for what is stored later', () => {
  const core = coreWith(4)
  core.storedAtRelay([packet(1, 2)]) // The first block was delivered.
  expect(storedTo(core)).toBe(0)
  core.heard([word(1)], KNOWN, false, 0)
  core.storedAtRelay([packet(1, 3)])
  expect(storedTo(core)).toBe(3)
})

test('a relay of a new generation, and a peer that lost its disk, have stored nothing', () => {
  const core = coreWith(4)
  core.storedAtRelay([packet(0, 4)])
  core.doubt('link')
  expect(storedTo(core)).toBe(4)
  core.doubt('relay')
  expect(storedTo(core)).toBe(0)
  core.storedAtRelay([packet(0, 4)])
  core.heard([word(1, true)], KNOWN, false, 0)
  expect(storedTo(core)).toBe(0)
})

test('what was delivered and brings no receipt is pushed once more, not sooner than after five seconds', () => {
  const core = coreWith(2)
  const first = core.plan(0)!
  core.planned(first, [packet(0, 2)])
  expect(core.plan(1)?.pushes ?? []).toEqual([])
  expect(core.pushAgain(NAME, 4_999)).toBe(false)
  expect(core.pushAgain(NAME, 5_000)).toBe(true)
  expect(core.plan(5_001)?.pushes).toEqual([{ name: NAME, after: [] }])
})

test('a word under unknown log heads confirms nothing until the records have come', () => {
  const core = coreWith(3)
  expect(core.heard([word(1)], KNOWN, false, 0)).toHaveLength(1)
  expect(core.heard([word(3)], UNKNOWN, true, 1)).toEqual([])
  const { receipted, confirmed } = core.progress(NAME)!
  expect([covers(receipted, 3), covers(confirmed!, 3), covers(confirmed!, 1)]).toEqual([true, false, true])
  expect(core.confirmed(() => false)).toEqual([])
  expect(core.confirmed((heads) => heads === UNKNOWN)).toEqual([{ document: NAME, vector: upTo(3) }])
  expect(core.progress(NAME)!.confirmed).toBeUndefined()
})

test('equal roots under unknown log heads confirm nothing either, and a later packet under known ones does', () => {
  const core = coreWith(2)
  const heads = { type: 'heads', fresh: false, root: core.root(), documents: 1 } as const
  core.heard([heads], UNKNOWN, true, 0)
  expect(core.progress(NAME)!.confirmed).toEqual([])
  expect(core.heard([], KNOWN, false, 1)).toEqual([{ document: NAME, vector: upTo(2) }])
  expect(core.progress(NAME)!.confirmed).toBeUndefined()
})

test('whatever a peer says under whichever heads, nothing is confirmed that no word under known heads covered', () => {
  const step = fc.record({ sequence: fc.nat(5), known: fc.boolean(), asks: fc.boolean(), records: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const core = coreWith(5)
      let sure = 0
      let last = 0
      for (const [at, { sequence, known, asks, records }] of steps.entries()) {
        core.heard([word(sequence, asks)], known ? KNOWN : UNKNOWN, !known, at)
        last = sequence
        if (known) sure = sequence
        if (records && core.confirmed(() => true).length > 0) sure = last
        const { receipted, confirmed } = core.progress(NAME)!
        for (let each = 1; each <= 5; each++)
          if (covers(receipted, each) && covers(confirmed ?? receipted, each))
            expect(each).toBeLessThanOrEqual(Math.min(sure, last))
      }
    }),
  )
})

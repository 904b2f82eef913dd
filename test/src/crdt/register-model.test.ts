import type { Document } from '@sealmesh/protocol/crdt/document'
import { toHex } from '@sealmesh/protocol/bytes'
import type { Block } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { dice } from '@sealmesh/protocol/test-dice'
import * as fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { incarnationId, NOW_MS, nodeId, Replica, stateOf } from './scene.ts'

// Many histories: on a busy machine they take long, and that says nothing of them.
vi.setConfig({ testTimeout: 180_000 })

/**
 * The register rules of DESIGN.md §7 over random concurrency, skewed clocks, deletes, restarts and collection of
 * tombstones: every replica that has the same blocks shows the same, and nothing vanishes that no clock dominates.
 */
function history(seed: number, compacts = false): string {
  const { random, pick } = dice(seed)
  const keys = ['k0', 'k1'].slice(0, 1 + pick(2))
  let incarnations = 0
  let wallMs = NOW_MS
  const replicas = Array.from({ length: 2 + pick(3) }, (_, node) => ({
    replica: new Replica(nodeId(node), incarnationId(++incarnations)),
    skewMs: pick(40) - 20,
    receipts: new Map<number, VersionVector>(),
  }))
  const all: Block[] = []
  const pulled = new Map<string, number>()
  const pull = (to: number, from: number) => {
    const { stored } = replicas[from]!.replica
    // A base takes from the front of what is stored what everybody has.
    replicas[to]!.replica.receive(...(compacts ? stored : stored.slice(pulled.get(`${to}<${from}`))))
    pulled.set(`${to}<${from}`, stored.length)
  }
  const collect = (at: number) => {
    const others = replicas.flatMap((_, other) => (other === at ? [] : [replicas[at]!.receipts.get(other)]))
    const known = others.filter((vector) => vector !== undefined)
    if (known.length !== others.length) return
    const { replica } = replicas[at]!
    if (!compacts) forget(replica.document, ...known)
    else if (replica.compact(known, () => false) && pick(2) === 0) replica.rebuild()
  }
  for (let steps = 30 + pick(40); steps > 0; steps--) {
    wallMs += pick(3)
    const [at, from] = [pick(replicas.length), pick(replicas.length)]
    const { replica, skewMs, receipts } = replicas[at]!
    replica.nowMs = wallMs + skewMs
    const what = random()
    if (what < 0.35) {
      const key = keys[pick(keys.length)]!
      const seen = random() < 0.15 ? { seen: 'all' as const } : {}
      const value = `${all.length}`
      all.push(replica.write(random() < 0.4 ? { type: 'delete', key, ...seen } : { type: 'set', key, value, ...seen }))
    } else if (what < 0.65) pull(at, from)
    else if (what < 0.8) receipts.set(from, replicas[from]!.replica.document.vector)
    else if (what < 0.95) collect(at)
    else replica.incarnation = incarnationId(++incarnations)
  }
  for (let round = 0; round < replicas.length; round++)
    for (let at = 0; at < replicas.length; at++) for (let from = 0; from < replicas.length; from++) pull(at, from)

  const shown = ({ replica }: { replica: Replica }) =>
    JSON.stringify(
      keys.map((key) => {
        const writes = replica.document.siblings(key)
        return writes.length === 1 && writes[0]!.value === undefined
          ? []
          : writes.map(({ dot, value }) => [dot.hash, value])
      }),
    )
  if (new Set(replicas.map(shown)).size > 1) return 'replicas differ'
  if (new Set(replicas.map(({ replica }) => toHex(replica.document.digest()))).size > 1) return 'digests differ'
  const live = new Set(
    replicas.flatMap(({ replica }) => keys.flatMap((key) => replica.document.siblings(key).map(({ dot }) => dot.hash))),
  )
  for (const block of all) {
    if (block.writes[0]!.type !== 'set' || live.has(block.hash)) continue
    if (!all.some((other) => dominates(other, block))) return 'a write vanished'
  }
  return ''
}

function dominates(a: Block, b: Block): boolean {
  const [write, other] = [a.writes[0]!, b.writes[0]!]
  if (write.type === 'text' || other.type === 'text' || write.key !== other.key) return false
  const { incarnation, sequence } = b.header
  if (a.header.incarnation === incarnation) return a.header.sequence > sequence
  return write.replaces.some((dot) => dot.incarnation === incarnation && dot.sequence >= sequence)
}

test('replicas show the same registers, and no write vanishes that no clock dominates', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1 }), (seed) => {
      expect(history(seed)).toBe('')
    }),
    { numRuns: 3_000, endOnFailure: true, examples: [[902181914]] },
  )
})

test('nor where each replica draws bases as its receipts allow, and loads what they keep', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1 }), (seed) => {
      expect(history(seed, true)).toBe('')
    }),
    { numRuns: 500, endOnFailure: true },
  )
})

test('a tombstone that was collected does not let an older value back in', () => {
  const [home, office] = [new Replica(nodeId(1), incarnationId(1)), new Replica(nodeId(2), incarnationId(2))]
  office.set('k0', 'old')
  home.receive(...office.stored)
  const tombstone = home.write({ type: 'delete', key: 'k0' })
  office.receive(tombstone)
  expect(forget(home.document, office.document.vector)).toBe(1)
  expect(home.document.siblings('k0')).toEqual([])
  // Home's next write cannot name the tombstone, and office still has it.
  home.set('k0', 'new')
  office.receive(...home.stored)
  expect(stateOf(office.document).registers).toEqual(stateOf(home.document).registers)
  expect(office.document.read('k0')?.value).toBe('new')
})

test('nor where the tombstone arrives after the write that could not name it', () => {
  const [home, office] = [new Replica(nodeId(1), incarnationId(1)), new Replica(nodeId(2), incarnationId(2))]
  const old = office.set('k0', 'old')
  home.receive(old)
  const tombstone = office.write({ type: 'delete', key: 'k0' })
  home.receive(tombstone)
  expect(forget(home.document, office.document.vector)).toBe(1)
  const value = home.set('k0', 'new')
  const late = new Replica(nodeId(3), incarnationId(3))
  late.receive(value, old, tombstone)
  expect(late.document.siblings('k0').map((entry) => entry.value)).toEqual(['new'])
})

test('a tombstone stays while somebody may not have it, and while their receipts cover what is not here', () => {
  const [home, office] = [new Replica(nodeId(1), incarnationId(1)), new Replica(nodeId(2), incarnationId(2))]
  home.set('k0', 'value')
  home.write({ type: 'delete', key: 'k0' })
  expect(forget(home.document, office.document.vector)).toBe(0)
  office.receive(...home.stored)
  office.set('k1', 'not at home yet')
  expect(forget(home.document, office.document.vector)).toBe(0)
  home.receive(...office.stored)
  expect(forget(home.document, office.document.vector)).toBe(1)
})

/** As a base does for the tombstones that it leaves out. How many these were. */
function forget(document: Document, ...receipts: readonly VersionVector[]): number {
  const forgotten = document.forgettable(receipts)
  document.stand([], forgotten)
  return forgotten.size
}

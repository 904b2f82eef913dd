import type { Block, Write } from '@sealmesh/protocol/crdt/block'
import { signBlock } from '@sealmesh/protocol/crdt/block-codec'
import { type Clock, compareDots, type Dot } from '@sealmesh/protocol/crdt/clock'
import { Document } from '@sealmesh/protocol/crdt/document'
import type { BlockHash } from '@sealmesh/protocol/ids'
import { dice } from '@sealmesh/protocol/test-dice'
import * as fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { foldAll, id, incarnationId, MESH, NAME, NOW_MS, nodeId, recordId, sodium, stateOf } from './scene.ts'

// Many histories: on a busy machine they take long, and that says nothing of them.
vi.setConfig({ testTimeout: 180_000 })

const { secretKey } = sodium.signKeys('sign', new Uint8Array(32))

/** Blocks of writers who name whatever they like: what they never saw, what does not exist, one another's future. */
function anyBlocks(seed: number): Block[] {
  const { pick, random, one } = dice(seed)
  const writers = Array.from({ length: 2 + pick(3) }, (_, at) => ({
    node: nodeId(at),
    incarnation: incarnationId(at + 1),
    blocks: [] as Block[],
  }))
  const all: Block[] = []
  const anyClock = (own: string, named: Map<string, Dot>): Clock => {
    const entries = new Map<string, Dot>()
    for (let left = pick(3); left > 0; left--) {
      const { incarnation, blocks } = one(writers)
      if (incarnation === own) continue
      const known = one(blocks)
      const isReal = known !== undefined && random() < 0.6
      const sequence = isReal && random() < 0.9 ? known.header.sequence : 1 + pick(6)
      const hash = isReal ? known.hash : id<BlockHash>(`bad${incarnation.slice(0, 4)}`, pick(9))
      // The table holds a hash once.
      const dot = named.get(hash) ?? { incarnation, sequence, hash }
      named.set(hash, dot)
      entries.set(incarnation, dot)
    }
    return [...entries.values()].sort(compareDots)
  }
  for (let left = 5 + pick(15); left > 0; left--) {
    const { node, incarnation, blocks } = one(writers)
    const last = blocks.at(-1)
    const named = new Map<string, Dot>()
    const writes = ['k0', 'k1'].slice(0, 1 + pick(2)).map((key): Write => {
      const replaces = anyClock(incarnation, named)
      return random() < 0.4 ? { type: 'delete', key, replaces } : { type: 'set', key, value: `${left}`, replaces }
    })
    const block = signBlock(
      {
        mesh: MESH,
        document: NAME,
        author: node,
        incarnation,
        sequence: blocks.length + 1,
        previous: last?.hash ?? null,
        time: { wallMs: NOW_MS + pick(20), counter: 0 },
        logHeads: [recordId(0)],
        floor: null,
        received: anyClock(incarnation, new Map()),
        term: null,
        writes,
      },
      secretKey,
      sodium,
    )
    blocks.push(block)
    all.push(block)
  }
  return all
}

function isReplaced(key: string, b: Block, all: readonly Block[]): boolean {
  return all.some((a) => {
    const write = writeTo(a, key)
    if (a === b || write === undefined || write.type === 'text') return false
    if (a.header.incarnation === b.header.incarnation) return a.header.sequence > b.header.sequence
    if (covers(write.replaces, b)) return true
    return writeTo(b, key)?.type === 'delete' && covers(heardBy(a, all), b)
  })
}

const writeTo = (block: Block, key: string) => block.writes.find((write) => write.type !== 'text' && write.key === key)

const covers = (clock: Clock, { header, hash }: Block): boolean =>
  clock.some(
    (dot) =>
      dot.incarnation === header.incarnation &&
      (dot.sequence > header.sequence || (dot.sequence === header.sequence && dot.hash === hash)),
  )

const heardBy = ({ header }: Block, all: readonly Block[]): Clock =>
  all.flatMap((block) =>
    block.header.incarnation === header.incarnation && block.header.sequence <= header.sequence
      ? block.header.received
      : [],
  )

test('T-peer-3: clocks that no honest writer makes cannot make replicas differ: the state is still the set by definition', () => {
  const property = fc.property(fc.integer({ min: 1 }), (seed) => {
    const blocks = anyBlocks(seed)
    const { shuffled } = dice(seed)
    const rebuilt = Document.rebuild(NAME, blocks, foldAll, NOW_MS + 1_000, sodium)
    const expected = stateOf(rebuilt)
    for (const key of ['k0', 'k1']) {
      const live = blocks.filter((block) => writeTo(block, key) !== undefined && !isReplaced(key, block, blocks))
      const shown = rebuilt.siblings(key)
      expect(shown.map(({ dot }) => dot.hash).sort()).toEqual(live.map(({ hash }) => hash).sort())
    }
    for (let round = 0; round < 4; round++) {
      const document = new Document(NAME, sodium)
      for (const block of shuffled([...blocks, ...blocks])) document.receive(block, foldAll, NOW_MS + 1_000)
      expect(stateOf(document)).toEqual(expected)
    }
  })
  fc.assert(property, { numRuns: 800, endOnFailure: true, examples: [[2034385357], [1737819929], [325431956]] })
})

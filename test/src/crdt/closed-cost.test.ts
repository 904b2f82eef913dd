import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Block } from '@sealmesh/protocol/crdt/block'
import { signBlock } from '@sealmesh/protocol/crdt/block-codec'
import { compareDots, type Dot } from '@sealmesh/protocol/crdt/clock'
import { Document } from '@sealmesh/protocol/crdt/document'
import type { Floor, Floors } from '@sealmesh/protocol/crdt/floor'
import type { BlockHash, ClosedDigest, IncarnationId } from '@sealmesh/protocol/ids'
import { CLOSED_ENTRIES_MAX, CLOSED_LINK_ENTRIES_MAX, CLOSED_LINKS_MAX } from '@sealmesh/protocol/limits'
import { expect, test } from 'vitest'
import { foldAll, id, incarnationId, MESH, NAME, nodeId, NOW_MS, sodium } from './scene.ts'

const { secretKey } = sodium.signKeys('sign', new Uint8Array(32))
const DIGEST = id<ClosedDigest>('f1', 1)
const SET: Dot[] = Array.from({ length: CLOSED_ENTRIES_MAX }, (_, at) => ({
  incarnation: `${at.toString(16).padStart(4, '0')}${'d'.repeat(28)}` as IncarnationId,
  sequence: 7,
  hash: id<BlockHash>('b0', at),
})).sort(compareDots)
const LINKS = Array.from({ length: CLOSED_LINKS_MAX }, (_, at) =>
  SET.slice(at * CLOSED_LINK_ENTRIES_MAX, (at + 1) * CLOSED_LINK_ENTRIES_MAX),
)
const FLOORS: Floors = {
  current: null,
  entries: (digest) => (digest === DIGEST ? SET : undefined),
  parts: (digest) => (digest === DIGEST ? LINKS : undefined),
}
const RUNS = 1_500

/** Runs of two blocks, each over the write of the run before it. */
function runs(floorOf: (at: number) => Floor | null, receivedOf: (at: number) => readonly Dot[] = () => []): Block[] {
  let before: Dot | undefined
  return Array.from({ length: RUNS }, (_, at) => {
    const incarnation = incarnationId(at)
    const replaces = before === undefined ? [] : [before]
    const header = { mesh: MESH, document: NAME, author: nodeId(1), incarnation, logHeads: [], term: null }
    const write = { type: 'set', key: 'k', value: String(at), replaces } as const
    const said = {
      floor: floorOf(at),
      received: receivedOf(at),
      writes: [write],
      time: { wallMs: NOW_MS, counter: at },
    }
    const first = signBlock({ ...header, ...said, sequence: 1, previous: null }, secretKey, sodium)
    const next = { ...said, floor: null, received: [], sequence: 2, previous: first.hash }
    const second = signBlock({ ...header, ...next }, secretKey, sodium)
    before = { incarnation, sequence: 2, hash: second.hash }
    return [first, second]
  }).flat()
}

const ways = {
  'as they come': (blocks: readonly Block[]) => {
    const document = new Document(NAME, sodium, FLOORS)
    for (const block of blocks) document.receive(block, foldAll, NOW_MS)
    return document
  },
  'read back': (blocks: readonly Block[]) => Document.rebuild(NAME, blocks, foldAll, NOW_MS, sodium, undefined, FLOORS),
}

function cost(blocks: readonly Block[], load: (blocks: readonly Block[]) => Document) {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const before = process.memoryUsage().heapUsed
  const from = process.cpuUsage()
  const document = load(blocks)
  const { user, system } = process.cpuUsage(from)
  collect()
  const bytes = process.memoryUsage().heapUsed - before
  expect(document.counts().folded).toBe(blocks.length)
  return { micros: user + system, bytes }
}

for (const [way, load] of Object.entries(ways))
  test(`blocks that name a set of 65,536 incarnations which are not here cost little more than others: ${way}`, () => {
    const plain = runs(() => null)
    const whole = runs(() => ({ digest: DIGEST, upTo: null }))
    const parts = runs((at) => ({ digest: DIGEST, upTo: SET[(at * 7_919) % SET.length]!.incarnation }))
    cost(plain, load) // Compiled.
    const usual = cost(plain, load)
    for (const blocks of [whole, parts]) {
      const { micros, bytes } = cost(blocks, load)
      expect(micros / usual.micros).toBeLessThan(8)
      expect(bytes - usual.bytes).toBeLessThan(8_000_000)
    }
  }, 60_000)

const OWN_SETS: readonly Dot[][] = Array.from({ length: RUNS }, (_, at) => [SET[at * 40]!])
const digestOf = (at: number) => id<ClosedDigest>('e1', at)
const MANY: Floors = {
  current: null,
  entries: (digest) => OWN_SETS.find((_, at) => digestOf(at) === digest),
  parts: (() => {
    const all = new Map(OWN_SETS.map((entries, at) => [digestOf(at), [entries]]))
    return (digest) => all.get(digest)
  })(),
}

test('T-peer-5: blocks that each name a set of their own, and write over one another, cost as much as what they say takes', () => {
  const load = (floors: Floors) => (blocks: readonly Block[]) =>
    Document.rebuild(NAME, blocks, foldAll, NOW_MS, sodium, undefined, floors)
  const named = runs((at) => ({ digest: digestOf(at), upTo: null }))
  const written = runs(
    () => null,
    (at) => OWN_SETS[at]!,
  )
  cost(written, load(MANY)) // Compiled.
  const usual = cost(written, load(MANY))
  const { micros, bytes } = cost(named, load(MANY))
  expect(micros / usual.micros).toBeLessThan(3)
  expect(bytes - usual.bytes).toBeLessThan(8_000_000)
}, 60_000)

test('a document that has next to nothing of a set can do without the blocks that name it', () => {
  const document = new Document(NAME, sodium, FLOORS)
  const [first] = runs(() => ({ digest: DIGEST, upTo: null }))
  expect(document.isFarFrom(first!)).toBe(true)
  const near = new Document(NAME, sodium, { ...FLOORS, parts: () => [SET.slice(0, 1_000)] })
  expect(near.isFarFrom(first!)).toBe(false)
  expect(near.isFarFrom(runs(() => null)[0]!)).toBe(false)
})

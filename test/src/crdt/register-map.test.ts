import type { BlockHash, IncarnationId } from '@sealmesh/protocol/ids'
import { decodeRegisters, encodeRegisters } from '@sealmesh/protocol/crdt/register-codec'
import { Ghost, type Register, StoredWrite, winnerOf, isConflicted } from '@sealmesh/protocol/crdt/register'
import { NOTHING_HEARD } from '@sealmesh/protocol/crdt/heard'
import { Unsettled } from '@sealmesh/protocol/crdt/unsettled'
import { RegisterMap } from '@sealmesh/protocol/crdt/register-map'
import { type Dice, dice } from '@sealmesh/protocol/test-dice'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { id, incarnationId, nodeId } from './scene.ts'

/** Writers that see some of each other's writes, delete, and sometimes lie about what they replace. */
function written(seed: number): RegisterMap {
  const { random, pick, one } = dice(seed)
  const maps = [new RegisterMap(), new RegisterMap(), new RegisterMap()]
  const sequences = maps.map(() => 0)
  const all: { key: string; write: StoredWrite }[] = []
  for (let step = 0; step < 60; step++) {
    const at = pick(maps.length)
    const map = maps[at]!
    const key = `k${pick(5)}`
    const [dot, author] = [dotOf(at, ++sequences[at]!), nodeId(at)]
    const time = { wallMs: 1_000 + pick(50), counter: pick(2) }
    const write = map.write(key, random() < 0.3 ? undefined : `${step}`, { dot, author, time })
    if (random() < 0.1 && all.length > 0) {
      const other = one(all).write.dot
      if (other.incarnation !== dot.incarnation) write.replaces = [other]
    }
    all.push({ key, write })
    for (const other of maps)
      if (other !== map && random() < 0.6) other.merge(key, copyOf(write, one, all), NOTHING_HEARD)
  }
  return maps[0]!
}

const dotOf = (node: number, sequence: number) => ({
  incarnation: incarnationId(node + 1),
  sequence,
  hash: id<BlockHash>(`${node}b`, sequence),
})

function copyOf({ dot, author, time, value, replaces }: StoredWrite, one: Dice['one'], all: { write: StoredWrite }[]) {
  const foreign = all.filter(({ write }) => write.dot.incarnation !== dot.incarnation)
  const applied = foreign.length > 5 ? new Unsettled([one(foreign).write.dot]) : undefined
  return new StoredWrite(dot, author, time, value, replaces, applied)
}

const plain = (register: Register) =>
  (Array.isArray(register) ? register : [register])
    .map((write) => ({
      ghost: write instanceof Ghost,
      dot: write.dot,
      author: write.author,
      time: write.time,
      value: write.value,
      replaces: write.replaces,
      open: write.applied?.open ?? [],
    }))
    .sort((a, b) => (a.dot.hash < b.dot.hash ? -1 : 1))

const shown = (map: RegisterMap) =>
  [...map.entries()].map(([key, register]) => [key, plain(register)] as const).sort(([a], [b]) => (a < b ? -1 : 1))

test('what a map counts as it grows is what a scan would count', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1 }), (seed) => {
      const map = written(seed)
      const registers = [...map.entries()].map(([, register]) => register)
      expect(map.live).toBe(registers.filter((register) => winnerOf(register)?.value !== undefined).length)
      expect(map.conflicted).toBe(registers.filter(isConflicted).length)
    }),
    { numRuns: 300 },
  )
})

test('the encoded state gives back every write, clock and ghost', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1 }), (seed) => {
      const map = written(seed)
      const decoded = decodeRegisters(encodeRegisters(map))
      if (!decoded.ok) throw new Error(decoded.error.code)
      expect(shown(decoded.value)).toEqual(shown(map))
      expect([decoded.value.live, decoded.value.conflicted]).toEqual([map.live, map.conflicted])
      expect(encodeRegisters(decoded.value)).toEqual(encodeRegisters(map))
    }),
    { numRuns: 300 },
  )
})

test('a damaged state is refused or read as another one, and never throws', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1 }), fc.nat(), fc.integer({ min: 1, max: 255 }), (seed, at, flip) => {
      const { state, hashes } = encodeRegisters(written(seed))
      const changed = state.slice()
      changed[at % changed.length]! ^= flip
      decodeRegisters({ state: changed, hashes })
      expect(decodeRegisters({ state: state.subarray(0, at % state.length), hashes }).ok).toBe(false)
      expect(decodeRegisters({ state, hashes: hashes.subarray(1) }).ok).toBe(false)
    }),
    { numRuns: 300 },
  )
})

test('100,000 overwrites of ten keys leave ten writes, and a state within twice the live data', () => {
  const map = new RegisterMap()
  const writers = [incarnationId(1), incarnationId(2)] satisfies IncarnationId[]
  const sequences = [0, 0]
  for (let i = 0; i < 100_000; i++) {
    const at = i % 2
    const dot = { incarnation: writers[at]!, sequence: ++sequences[at]!, hash: id<BlockHash>(`${at}b`, i) }
    const time = { wallMs: 1_800_000_000_000 + (i >> 4), counter: i & 15 }
    map.write(`key-${i % 10}`, `${'x'.repeat(90)}${i}`, { dot, author: nodeId(at), time })
  }
  const { state, hashes } = encodeRegisters(map)
  let live = 0
  for (const [key, register] of map.entries()) live += key.length + (winnerOf(register)?.value?.length ?? 0)
  expect(map.size).toBe(10)
  expect(state.length).toBeLessThan(2 * live)
  expect(hashes.length).toBeLessThan(live)
})

test('one more sibling is compared with few, however many there are', () => {
  const SIBLINGS = 1_000
  const map = new RegisterMap()
  let looks = 0
  for (let at = 0; at < SIBLINGS; at++) {
    const counted = (at * 7_919) % SIBLINGS
    const time = {
      counter: 0,
      get wallMs() {
        looks++
        return counted
      },
    }
    map.merge('k', new StoredWrite(dotOf(at, 1), nodeId(at), time, `${at}`, [], undefined), NOTHING_HEARD)
  }
  expect(looks / SIBLINGS).toBeLessThan(12)
  const [first] = map.writes('k')
  expect([map.read('k'), first?.time.wallMs, map.conflicted]).toEqual([first, SIBLINGS - 1, 1])
})

import { Document } from '@sealmesh/protocol/crdt/document'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import * as fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { NO_BASE } from './based.ts'
import { type History, type HistoryOptions, history, judgeAt } from './history.ts'
import { ALL_FLOORS, foldAll, incarnationId, NAME, nodeId, NOW_MS, Replica, sodium, stateOf } from './scene.ts'

// Many histories: on a busy machine they take long, and that says nothing of them.
vi.setConfig({ testTimeout: 180_000 })

/** After every clock that a history had. */
const LATER_MS = NOW_MS + 24 * 60 * 60_000
const WHOLE: HistoryOptions = { texts: true, log: true, forks: false, compacts: true }

function forHistories(
  runs: number,
  options: HistoryOptions,
  check: (history: History, seed: number) => void,
  seeds: readonly number[] = [],
): void {
  const property = fc.property(fc.integer({ min: 1 }), (seed) => check(history(seed, options), seed))
  fc.assert(property, { numRuns: runs, endOnFailure: true, examples: seeds.map((seed): [number] => [seed]) })
}

const folded = ({ blocks, log }: History): Document =>
  Document.rebuild(NAME, blocks, judgeAt(log, log.length), LATER_MS, sodium, NO_BASE, ALL_FLOORS)

function catchUp(replica: Replica, { blocks, log }: History): void {
  replica.look(judgeAt(log, log.length), LATER_MS)
  for (let before = -1; before < replica.stored.length || replica.wanted.size > 0; ) {
    before = replica.stored.length
    replica.answered()
    replica.receive(...blocks)
  }
  replica.look(judgeAt(log, log.length), LATER_MS)
}

test('what is loaded from a base equals what is loaded from all blocks, whatever came before and after it', () => {
  let compacted = 0
  forHistories(200, WHOLE, (made) => {
    const expected = stateOf(folded(made))
    for (const replica of made.replicas) {
      if (replica.base.tips.length > 0) compacted += 1
      catchUp(replica, made)
      expect(stateOf(replica.document)).toEqual(expected)
      replica.rebuild()
      expect(stateOf(replica.document)).toEqual(expected)
    }
  })
  expect(compacted).toBeGreaterThan(50)
})

test('replicas that stand on different closed sets, on none, or on one another’s fold the same', () => {
  const seen = { standing: 0, under: 0, different: 0 }
  forHistories(80, { ...WHOLE, closes: true, restarts: 0.25 }, (made) => {
    const expected = stateOf(folded(made))
    const sets = new Set(made.replicas.flatMap(({ closed }) => closed.current ?? []))
    seen.standing += sets.size
    if (sets.size > 1) seen.different += 1
    seen.under += made.blocks.filter(({ header }) => header.floor !== null).length
    for (const replica of made.replicas) {
      catchUp(replica, made)
      expect(stateOf(replica.document)).toEqual(expected)
      replica.rebuild()
      expect(stateOf(replica.document)).toEqual(expected)
    }
  })
  expect(seen.standing).toBeGreaterThan(5)
  expect(seen.under).toBeGreaterThan(10)
})

test('drawing a base changes nothing that anybody can read, in memory or loaded again', () => {
  const check = (made: History): void => {
    for (const replica of made.replicas) {
      catchUp(replica, made)
      const before = stateOf(replica.document)
      if (!replica.compact([replica.document.vector], () => false)) continue
      expect(stateOf(replica.document)).toEqual(before)
      replica.rebuild()
      expect(stateOf(replica.document)).toEqual(before)
      // And once more over itself, with nothing new.
      expect(replica.compact([replica.document.vector], () => false)).toBe(false)
    }
  }
  // There one of two values is of the incarnation that deletes them in a block which does not count.
  forHistories(120, { ...WHOLE, compacts: false }, check, [7444038])
})

test('a base keeps blocks in proportion to what lives, not to what was written', () => {
  forHistories(100, { texts: false, log: false, forks: false, compacts: false }, (made) => {
    const [replica] = made.replicas as [Replica]
    catchUp(replica, made)
    // What only memory has forgotten, without a base, would be kept until it is read again.
    replica.rebuild()
    replica.compact([], () => false)
    const live = replica.base.blocks.filter(({ writes }) => writes.length > 0)
    const shown = ['k0', 'k1', 'k2'].reduce((sum, key) => sum + replica.document.siblings(key).length, 0)
    const kept = live.reduce((sum, { writes }) => sum + writes.length, 0)
    expect(kept).toBe(shown)
    expect(replica.base.blocks.length - live.length).toBeLessThanOrEqual(replica.base.tips.length)
    // Nobody else reads it, so no tombstone is left alone.
    for (const key of ['k0', 'k1', 'k2']) {
      const [first, ...others] = replica.document.siblings(key)
      expect(first === undefined || first.value !== undefined || others.length > 0).toBe(true)
    }
  })
})

test('a base passes words that count for nothing; should they come to count, all is as if there were no base', () => {
  const [home, office] = [new Replica(nodeId(1), incarnationId(1)), new Replica(nodeId(2), incarnationId(2))]
  const unheard: Judge = ({ header }) =>
    header.incarnation === office.incarnation && header.sequence > 1
      ? { type: 'void', reason: 'LAPSED' }
      : { type: 'fold' }
  for (const each of [home, office]) each.judge = unheard
  home.receive(office.set('k0', 'counts'))
  home.set('k2', 'gone')
  const silent = [
    office.write({ type: 'delete', key: 'k0' }),
    office.write({ type: 'delete', key: 'k1' }),
    office.set('k2', 'unheard'),
    office.type('notes', 0, 'unheard'),
  ]
  home.receive(...silent)
  home.set('k0', 'since')
  home.write({ type: 'delete', key: 'k2' })
  const whole = [...home.stored]
  expect(home.compact([home.document.vector], () => false)).toBe(true)
  expect(home.stored).toEqual(silent)
  // The same process says only once what it has received.
  home.set('k1', 'later')
  home.rebuild()
  expect(home.document.aside()).toHaveLength(4)
  for (const judge of [unheard, foldAll]) {
    home.look(judge, NOW_MS)
    const all = Document.rebuild(NAME, [...whole, ...home.stored.slice(-1)], judge, NOW_MS, sodium)
    expect(stateOf(home.document)).toEqual(stateOf(all))
  }
})

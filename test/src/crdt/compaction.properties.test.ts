import { Document } from '@sealmesh/protocol/crdt/document'
import * as fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { type History, type HistoryOptions, history, judgeAt } from './history.ts'
import { NAME, NOW_MS, type Replica, sodium, stateOf } from './scene.ts'

// Many histories: on a busy machine they take long, and that says nothing of them.
vi.setConfig({ testTimeout: 180_000 })

/** After every clock that a history had. */
const LATER_MS = NOW_MS + 24 * 60 * 60_000
const WHOLE: HistoryOptions = { texts: true, log: true, forks: false, compacts: true }

function forHistories(runs: number, options: HistoryOptions, check: (history: History, seed: number) => void): void {
  const property = fc.property(fc.integer({ min: 1 }), (seed) => check(history(seed, options), seed))
  fc.assert(property, { numRuns: runs, endOnFailure: true })
}

const folded = ({ blocks, log }: History): Document =>
  Document.rebuild(NAME, blocks, judgeAt(log, log.length), LATER_MS, sodium)

function catchUp(replica: Replica, { blocks, log }: History): void {
  replica.look(judgeAt(log, log.length), LATER_MS)
  for (let before = -1; before < replica.stored.length; ) {
    before = replica.stored.length
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

test('drawing a base changes nothing that anybody can read, in memory or loaded again', () => {
  forHistories(120, { ...WHOLE, compacts: false }, (made) => {
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
  })
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

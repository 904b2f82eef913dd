import type { Block, Write } from '@sealmesh/protocol/crdt/block'
import { Document } from '@sealmesh/protocol/crdt/document'
import { dice } from '@sealmesh/protocol/test-dice'
import * as fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { type History, type HistoryOptions, history, judgeAt } from './history.ts'
import { Ancestry, incarnationId, NAME, NOW_MS, nodeId, Replica, sodium, stateOf } from './scene.ts'

// Many histories: on a busy machine they take long, and that says nothing of them.
vi.setConfig({ testTimeout: 180_000 })

/** After every clock that a history had. */
const LATER_MS = NOW_MS + 24 * 60 * 60_000
const WHOLE: HistoryOptions = { texts: true, log: true, forks: true }

/** fast-check prints its own seed, and the history's, which alone repeats a failure. */
function forHistories(runs: number, options: HistoryOptions, check: (history: History, seed: number) => void): void {
  const property = fc.property(fc.integer({ min: 1 }), (seed) => check(history(seed, options), seed))
  fc.assert(property, { numRuns: runs, endOnFailure: true })
}

function fresh(nowMs = LATER_MS): Replica {
  const replica = new Replica(nodeId(99), incarnationId(999))
  replica.nowMs = nowMs
  return replica
}

function folded({ blocks, log }: History): Document {
  return Document.rebuild(NAME, blocks, judgeAt(log, log.length), LATER_MS, sodium)
}

/** A rebuild forgets blocks that wait for their predecessor: they are not in the vector, so peers send them again. */
function sendAgain(replica: Replica, blocks: readonly Block[]): void {
  for (let before = -1; before < replica.stored.length && replica.stored.length < blocks.length; ) {
    before = replica.stored.length
    replica.receive(...blocks)
  }
}

test('replicas that received the same blocks are equal, in any order, with repeats, in any grouping', () => {
  forHistories(250, WHOLE, (made, seed) => {
    const { blocks, log } = made
    const expected = stateOf(folded(made))
    const { shuffled, pick } = dice(seed)
    for (let round = 0; round < 3; round++) {
      const replica = fresh()
      replica.judge = judgeAt(log, log.length)
      replica.receive(...shuffled([...blocks, ...blocks.slice(0, pick(blocks.length))]))
      sendAgain(replica, blocks)
      expect(stateOf(replica.document)).toEqual(expected)
    }
    // Grouped: two that know a part each tell each other.
    const [left, right] = [fresh(), fresh()]
    left.judge = right.judge = judgeAt(log, log.length)
    for (const block of shuffled(blocks)) (pick(2) === 0 ? left : right).receive(block)
    left.receive(...shuffled([...right.stored, ...blocks]))
    sendAgain(left, blocks)
    right.receive(...left.stored)
    expect(stateOf(left.document)).toEqual(expected)
    expect(stateOf(right.document)).toEqual(expected)
  })
})

test('the log may come before, between or after the blocks: revocations and terms that arrive last count as much', () => {
  forHistories(250, WHOLE, (made, seed) => {
    const { blocks, log } = made
    const { shuffled, pick } = dice(seed)
    const replica = fresh()
    let known = 0
    for (const block of shuffled(blocks)) {
      if (pick(8) === 0) known = Math.min(log.length, known + 1)
      replica.look(judgeAt(log, known), LATER_MS)
      replica.receive(block)
    }
    replica.look(judgeAt(log, log.length), LATER_MS)
    sendAgain(replica, blocks)
    expect(stateOf(replica.document)).toEqual(stateOf(folded(made)))
  })
})

test('the replicas of a history agree once all have everything', () => {
  forHistories(150, WHOLE, (made) => {
    const { log, replicas } = made
    const expected = stateOf(folded(made))
    for (const replica of replicas) {
      replica.look(judgeAt(log, log.length), LATER_MS)
      sendAgain(replica, made.blocks)
      replica.look(judgeAt(log, log.length), LATER_MS)
      expect(stateOf(replica.document)).toEqual(expected)
    }
  })
})

test('what was received is folded, late, aside or held, and nothing is in two of them', () => {
  forHistories(150, WHOLE, (made, seed) => {
    const { shuffled } = dice(seed)
    const { log } = made
    const replica = fresh(NOW_MS + 10_000)
    replica.judge = judgeAt(log, log.length >> 1)
    for (const block of shuffled(made.blocks)) {
      replica.receive(block)
      const { received, folded, late, aside, held } = replica.document.counts()
      expect(folded + late + aside + held).toBe(received)
      expect(received).toBe(replica.stored.length)
      expect(new Set(replica.document.aside().map(({ block }) => block.hash)).size).toBe(late + aside)
    }
    sendAgain(replica, made.blocks)
    expect(replica.stored.length).toBe(made.blocks.length)
    replica.look(judgeAt(log, log.length), LATER_MS)
    expect(replica.document.counts().held).toBe(0)
  })
})

test('the state is the set of folded writes that no folded write replaces, by the definition', () => {
  forHistories(250, { ...WHOLE, texts: false }, (made) => {
    const document = folded(made)
    const aside = new Set(document.aside().map(({ block }) => block.hash))
    const counting = made.blocks.filter(({ hash }) => !aside.has(hash))
    const ancestry = new Ancestry(made.blocks)
    for (const key of new Set(counting.flatMap(({ writes }) => writes.map(keyOf)))) {
      const writes = counting.flatMap((block) =>
        block.writes.filter((write) => keyOf(write) === key).map((write) => ({ block, write })),
      )
      const live = writes.filter(
        ({ block: b, write: v }) => !writes.some(({ block: a, write: w }) => replaces(ancestry, a, w, b, v)),
      )
      const shown = document.siblings(key).map(({ dot }) => dot.hash)
      expect(shown.toSorted()).toEqual(live.map(({ block }) => block.hash).toSorted())
      const greatest = live.toSorted((x, y) => order(y.block, x.block))[0]
      expect(shown[0]).toBe(greatest?.block.hash)
    }
  })
})

const keyOf = (write: Write): string => (write.type === 'text' ? '' : write.key)

function order({ header: a, hash }: Block, { header: b, hash: other }: Block): number {
  return (
    a.time.wallMs - b.time.wallMs ||
    a.time.counter - b.time.counter ||
    (a.author < b.author ? -1 : a.author > b.author ? 1 : 0) ||
    (a.incarnation < b.incarnation ? -1 : a.incarnation > b.incarnation ? 1 : 0) ||
    a.sequence - b.sequence ||
    (hash < other ? -1 : 1)
  )
}

/** DESIGN.md §7 word for word, with ancestry by hashes and nothing remembered. */
function replaces(ancestry: Ancestry, a: Block, write: Write, b: Block, other: Write): boolean {
  if (a === b || write.type === 'text' || other.type === 'text') return false
  if (ancestry.isBefore(b, a.header.previous)) return true
  if (ancestry.covers(write.replaces, b)) return true
  if (other.type !== 'delete') return false
  const heard = new Map<string, typeof a.header.received>()
  for (let at: Block | undefined = a; at !== undefined; at = ancestry.previous(at)) {
    const { received } = at.header
    for (const { incarnation } of received) {
      if (!heard.has(incarnation))
        heard.set(
          incarnation,
          received.filter((dot) => dot.incarnation === incarnation),
        )
    }
  }
  return [...heard.values()].some((vector) => ancestry.covers(vector, b))
}

test('nothing disappears: each write is shown, set aside and listed, or replaced by one that counts', () => {
  forHistories(150, { ...WHOLE, texts: false }, (made) => {
    const document = folded(made)
    const ancestry = new Ancestry(made.blocks)
    const aside = new Set(document.aside().map(({ block }) => block.hash))
    for (const block of made.blocks) {
      if (aside.has(block.hash)) continue
      for (const write of block.writes) {
        const isShown = document.siblings(keyOf(write)).some(({ dot }) => dot.hash === block.hash)
        const isReplaced = made.blocks.some(
          (other) =>
            !aside.has(other.hash) &&
            other.writes.some((by) => keyOf(by) === keyOf(write) && replaces(ancestry, other, by, block, write)),
        )
        expect(isShown || isReplaced).toBe(true)
      }
    }
  })
})

test('texts converge whatever is set aside, and nothing stays pending in Yjs', () => {
  forHistories(250, WHOLE, (made, seed) => {
    const { blocks, log } = made
    const { shuffled } = dice(seed)
    const expected = folded(made)
    const replica = fresh()
    replica.judge = judgeAt(log, log.length)
    for (const block of shuffled(blocks)) {
      replica.receive(block)
      const { store } = replica.document.yDoc
      expect(store.pendingStructs).toBeNull()
      expect(store.pendingDs).toBeNull()
    }
    sendAgain(replica, blocks)
    for (const name of ['notes', 'plan']) expect(replica.document.text(name)).toBe(expected.text(name))
    expect(expected.yDoc.store.pendingStructs).toBeNull()
    expect(replica.document.counts().held).toBe(0)
  })
})

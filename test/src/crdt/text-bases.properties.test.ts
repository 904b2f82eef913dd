import type { Block } from '@sealmesh/protocol/crdt/block'
import { Document } from '@sealmesh/protocol/crdt/document'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import type { IncarnationId } from '@sealmesh/protocol/ids'
import { type Dice, dice } from '@sealmesh/protocol/test-dice'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { foldAll, incarnationId, NAME, NOW_MS, nodeId, Replica, sodium, stateOf } from './scene.ts'

/** Longer by hand. */
const RUNS = Number(process.env.SEALMESH_RUNS ?? 40)
const TEXTS = ['notes', 'plan']

function edit(replica: Replica, { pick, one, random }: Dice): void {
  replica.edit((doc) => {
    const text = doc.getText(one(TEXTS))
    const at = random() < 0.5 ? text.length : pick(text.length + 1)
    if (text.length > 0 && random() < 0.45) text.delete(Math.min(at, text.length - 1), 1 + pick(6))
    else text.insert(at, one(['a', 'bc', 'word ', 'a whole line\n', 'ü🙂']))
    // Yjs cuts a pair where a format ends even if it changes nothing: nobody else is told of that cut.
    if (/^[^\uD800-\uDFFF]{4}/.test(text.toString()) && random() < 0.05) text.format(1, 2, { bold: true })
  })
}

const pull = (to: Replica, from: Replica, some = from.stored.length): void => to.receive(...from.stored.slice(0, some))

/** Who joins is given a base and what lies above it, and then writes like the others. */
function join(from: Replica, number: number): Replica {
  const replica = new Replica(nodeId(number), incarnationId(number))
  replica.nowMs = from.nowMs
  replica.base = from.base
  replica.rebuild()
  replica.receive(...from.stored)
  return replica
}

test('whoever draws bases of texts, when and where, and whoever joins then: all read the same, and go on alike', {
  timeout: 180_000,
}, () => {
  let [drawn, joined] = [0, 0]
  const property = fc.property(fc.integer({ min: 1 }), (seed) => {
    const all = dice(seed)
    const { pick, one, random } = all
    let incarnations = 3
    let nowMs = NOW_MS
    const replicas = [1, 2, 3].map((number) => new Replica(nodeId(number), incarnationId(number)))
    /** Has every block, and never a base. */
    const hoarder = new Replica(nodeId(99), incarnationId(0x9999))
    const everybody = () => [...replicas, hoarder]
    for (let steps = 30 + pick(90); steps > 0; steps--) {
      nowMs += pick(2_000)
      for (const replica of everybody()) replica.nowMs = nowMs
      const replica = one(replicas)
      const what = random()
      if (what < 0.5) edit(replica, all)
      else if (what < 0.75) pull(replica, one(replicas), random() < 0.6 ? undefined : pick(20))
      else if (what < 0.8) replica.set(one(['k0', 'k1']), `${steps}`)
      else if (what < 0.83) replica.incarnation = incarnationId(++incarnations)
      else if (what < 0.86) replica.rebuild()
      else if (what < 0.88 && replicas.length < 6) {
        replicas.push(join(replica, ++incarnations))
        joined += 1
      } else {
        if (random() < 0.5) for (const from of everybody()) for (const to of everybody()) pull(to, from)
        const receipts = everybody().filter((each) => each !== replica)
        const keepFromMs = nowMs - pick(20_000)
        const done = replica.compact(
          receipts.map(({ document }) => document.vector),
          ({ header }) => header.time.wallMs > keepFromMs,
        )
        if (done) drawn += 1
      }
    }
    for (let round = 0; round < 3; round++) for (const from of everybody()) for (const to of everybody()) pull(to, from)
    const expected = stateOf(Document.rebuild(NAME, hoarder.stored, foldAll, nowMs, sodium))
    expect(expected.aside).toEqual([])
    for (const replica of replicas) {
      expect(stateOf(replica.document)).toEqual(expected)
      replica.rebuild()
      expect(stateOf(replica.document)).toEqual(expected)
      const { pendingStructs, pendingDs } = replica.document.yDoc.store
      expect([pendingStructs, pendingDs]).toEqual([null, null])
    }
    // Everybody at once, anywhere in what may lie below a base.
    for (const replica of replicas) for (let edits = 4; edits > 0; edits--) edit(replica, all)
    for (const from of everybody()) for (const to of everybody()) pull(to, from)
    for (const replica of replicas) expect(stateOf(replica.document)).toEqual(stateOf(hoarder.document))
  })
  fc.assert(property, { numRuns: RUNS, endOnFailure: true })
  expect(drawn).toBeGreaterThan(RUNS)
  expect(joined).toBeGreaterThan(RUNS / 4)
})

/** Two who write one text, one who writes another; whoever is last has them all below a base. */
function three(): { blocks: Block[]; reader: Replica } {
  const [a, b, reader] = [1, 2, 3].map((number) => new Replica(nodeId(number), incarnationId(number))) as [
    Replica,
    Replica,
    Replica,
  ]
  const first = a.type('notes', 0, 'one two')
  b.receive(first)
  const blocks = [first, b.type('notes', 3, ' and'), reader.type('other', 0, 'apart')]
  reader.receive(...blocks)
  expect(reader.document.text('notes')).toBe('one and two')
  expect(reader.compact([], () => false)).toBe(true)
  expect(reader.base.runs).toHaveLength(3)
  return { blocks, reader }
}

test('a run that the log makes void is set aside with what builds on it, as its blocks would be, and can be merged', () => {
  const { blocks, reader } = three()
  const judge: Judge = ({ header }) =>
    header.author === nodeId(1) ? { type: 'void', reason: 'BEYOND_CUT' } : { type: 'fold' }
  reader.look(judge, NOW_MS)
  expect(reader.document.text('notes')).toBeUndefined()
  expect(reader.document.text('other')).toBe('apart')
  expect(stateOf(reader.document)).toEqual(stateOf(Document.rebuild(NAME, blocks, judge, NOW_MS, sodium)))
  expect(reader.document.aside().map(({ block, reason }) => [block.writes[0]?.type, reason])).toEqual([
    ['text', 'BEYOND_CUT'],
    ['text', 'DEPENDS_ON_ASIDE'],
  ])
  reader.set('k0', 'later')
  expect(reader.compact([], () => false)).toBe(false)
  reader.look(foldAll, NOW_MS)
  expect(reader.document.text('notes')).toBe('one and two')
})

test('a client id that has a run below a base stays claimed, and goes to the lesser of two as if all blocks were here', () => {
  for (const [digit, keeps] of [
    ['d', true],
    ['b', false],
  ] as const) {
    const { blocks, reader } = three()
    const { incarnation } = reader
    const twin = new Replica(nodeId(4), (incarnation.slice(0, 12) + digit.repeat(20)) as IncarnationId)
    const block = twin.type('plan', 0, 'mine')
    reader.receive(block)
    expect(reader.document.text('other')).toBe(keeps ? 'apart' : undefined)
    expect(reader.document.text('plan')).toBe(keeps ? undefined : 'mine')
    expect(reader.document.aside()).toMatchObject([{ reason: 'CLIENT_TAKEN' }])
    expect(stateOf(reader.document)).toEqual(
      stateOf(Document.rebuild(NAME, [...blocks, block], foldAll, NOW_MS, sodium)),
    )
  }
})

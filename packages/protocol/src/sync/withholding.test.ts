import { expect, test } from 'vitest'
import type { Dot, VersionVector } from '../crdt/clock.ts'
import type { AgentId, BlockHash, IncarnationId, PacketId, RecordHash } from '../ids.ts'
import { type Compared, type Heartbeat, Withholding } from './withholding.ts'

const name = { agent: 'a1' as AgentId, layer: 'semantic' }
const dot = (run: string, sequence: number): Dot => ({
  incarnation: run as IncarnationId,
  sequence,
  hash: `${run}${sequence}` as BlockHash,
})
const NOTHING: VersionVector = []

/** Heartbeats ten seconds apart; what is not said is as with two that are in step. */
function beating() {
  const withholding = new Withholding()
  let beats = 0
  const beat = (said: Partial<Heartbeat> & { document?: Partial<Compared>; afterMs?: number } = {}) => {
    const { document, afterMs = 10_000, ...rest } = said
    beats += 1
    const nowMs = (beating.nowMs += afterMs)
    const compared: Compared = {
      name,
      mine: NOTHING,
      named: undefined,
      receipted: NOTHING,
      handed: NOTHING,
      askedSinceMs: undefined,
      isBusy: false,
      ...document,
    }
    return withholding.heartbeat({
      nowMs,
      packet: `p${beats}` as PacketId,
      lacksRecords: false,
      sameLog: true,
      ownHeads: [],
      differs: false,
      asked: true,
      answered: true,
      documents: document === undefined ? [] : [compared],
      ...rest,
    })
  }
  return { beat, open: () => withholding.open.map(({ what }) => what) }
}
beating.nowMs = 0

const NAMED = { named: [dot('b1', 3)], mine: [dot('b1', 1)] }

test('T-relay-9: blocks that were named and have not come at the third heartbeat are withheld, with what speaks for it', () => {
  const { beat, open } = beating()
  expect([beat({ document: NAMED }).raised, beat({ document: NAMED }).raised]).toEqual([[], []])
  const [withheld] = beat({ document: NAMED }).raised
  expect(withheld).toMatchObject({ what: 'blocks', document: name, blocks: 2, missing: [dot('b1', 3)] })
  expect(withheld?.packets).toEqual(['p1', 'p2', 'p3'])
  expect(beat({ document: NAMED }).raised).toEqual([])
  expect(beat().healed).toHaveLength(1)
  expect(open()).toEqual([])
})

test('what grows all the time is not withheld while it comes', () => {
  const { beat, open } = beating()
  for (let n = 1; n < 9; n++)
    beat({ document: { named: [dot('b1', n + 2)], mine: n === 1 ? NOTHING : [dot('b1', n)] } })
  expect(open()).toEqual([])
})

test('T-relay-9: other blocks that come do not hide those that do not', () => {
  const { beat, open } = beating()
  for (let n = 1; n < 4; n++)
    beat({ document: { named: [dot('b1', 3), dot('c1', n)], mine: [dot('b1', 1), ...(n > 1 ? [dot('c1', n)] : [])] } })
  // The second brought what the first had named of c1.
  expect(open()).toEqual([])
  beat({ document: { named: [dot('b1', 3), dot('c1', 4)], mine: [dot('b1', 1), dot('c1', 4)] } })
  expect(open()).toEqual(['blocks'])
})

test('T-relay-9: what the relay has answered for and the peer does not have is withheld; what it never took is not', () => {
  const { beat, open } = beating()
  for (let n = 0; n < 5; n++) beat({ document: { mine: [dot('a1', 2)], receipted: [dot('a1', 1)] } })
  expect(open()).toEqual([])
  for (let n = 0; n < 3; n++)
    beat({ document: { mine: [dot('a1', 2)], receipted: [dot('a1', 1)], handed: n === 1 ? [] : [dot('a1', 2)] } })
  expect(open()).toEqual(['receipts'])
})

test('T-relay-9: records that are named and do not come', () => {
  const { beat, open } = beating()
  for (const head of ['r1', 'r2', 'r3', 'r4']) beat({ lacksRecords: true, ownHeads: [head as RecordHash] })
  expect(open()).toEqual([])
  for (let n = 0; n < 2; n++) beat({ lacksRecords: true, ownHeads: ['r4' as RecordHash] })
  expect(open()).toEqual(['records'])
  expect(beat().healed).toHaveLength(1)
})

test('T-relay-9: a difference of which nobody says what it is', () => {
  const { beat, open } = beating()
  const silent = { differs: true, answered: false }
  for (let n = 0; n < 5; n++) beat({ ...silent, asked: false })
  expect(open()).toEqual([])
  for (let n = 0; n < 2; n++) beat(silent)
  expect(open()).toEqual(['answers'])
  beat({ differs: true, answered: true })
  expect(open()).toEqual([])
})

test('T-relay-9: a question about one document without an answer, whatever is said of others', () => {
  const { beat, open } = beating()
  // Answered and asked again.
  for (const askedSinceMs of [1, 2, 3, 4]) beat({ differs: true, document: { askedSinceMs } })
  expect(open()).toEqual([])
  for (let n = 0; n < 2; n++) beat({ differs: true, document: { askedSinceMs: 4 } })
  expect(open()).toEqual(['answers'])
})

test('before both have the same log nothing is found', () => {
  const { beat, open } = beating()
  for (let n = 0; n < 5; n++)
    beat({
      sameLog: false,
      differs: true,
      answered: false,
      document: { ...NAMED, handed: [dot('a1', 2)], askedSinceMs: 1 },
    })
  expect(open()).toEqual([])
})

test('heartbeats under another log neither count nor go on with what was counted before', () => {
  const silent = { differs: true, answered: false }
  const { beat, open } = beating()
  beat({ ...silent, sameLog: false })
  for (let n = 0; n < 2; n++) beat(silent)
  expect(open()).toEqual([])
  beat({ ...silent, sameLog: false })
  beat(silent)
  expect(open()).toEqual([])
  for (let n = 0; n < 2; n++) beat(silent)
  expect(open()).toEqual(['answers'])
})

test('a document that is taken over as a whole has longer, not for ever', () => {
  const { beat, open } = beating()
  for (let n = 0; n < 30; n++) beat({ document: { ...NAMED, isBusy: true } })
  expect(open()).toEqual([])
  for (let n = 0; n < 3; n++) beat({ document: { ...NAMED, isBusy: true } })
  expect(open()).toEqual(['blocks'])
})

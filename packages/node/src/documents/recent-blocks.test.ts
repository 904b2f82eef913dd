import type { Block } from '@sealmesh/protocol/crdt/block'
import type { BlockHash, DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import { expect, test } from 'vitest'
import { RecentBlocks } from './recent-blocks.ts'

const document = 'dd'.repeat(32) as DocumentId
const incarnation = 'aa'.repeat(16) as IncarnationId
const hash = (sequence: number, branch = 'b') => `${branch}${sequence}`.padEnd(64, '0') as BlockHash
const dot = (sequence: number, branch = 'b') => ({ incarnation, sequence, hash: hash(sequence, branch) })
/** Only what is looked at. */
const block = (sequence: number, previous: BlockHash | null, branch = 'b') =>
  ({ header: { incarnation, sequence, previous }, hash: hash(sequence, branch), bytes: new Uint8Array(100) }) as Block

const chain = (recent: RecentBlocks, from: number, to: number): void => {
  for (let i = from; i <= to; i++) recent.add(document, block(i, i === 1 ? null : hash(i - 1)))
}
const sequences = (run: { sequence: number }[] | undefined) => run?.map((each) => each.sequence)

test('the run between two dots of one chain is found, from the first block too', () => {
  const recent = new RecentBlocks()
  chain(recent, 1, 5)
  expect(sequences(recent.between(document, dot(2), dot(4)))).toEqual([3, 4])
  expect(sequences(recent.between(document, null, dot(5)))).toEqual([1, 2, 3, 4, 5])
  expect(sequences(recent.between(document, dot(5), dot(5)))).toEqual([])
})

test('what was forgotten for room, or never seen, is not guessed', () => {
  const recent = new RecentBlocks(300)
  chain(recent, 1, 5)
  expect(recent.between(document, dot(1), dot(5))).toBe(undefined)
  expect(sequences(recent.between(document, dot(2), dot(5)))).toEqual([3, 4, 5])
  expect(recent.between(document, dot(5), dot(6))).toBe(undefined)
})

test('an incarnation’s first blocks in two documents are two', () => {
  const recent = new RecentBlocks()
  recent.add(document, block(1, null))
  recent.add('ee'.repeat(32) as DocumentId, block(1, null, 'e'))
  expect(sequences(recent.between(document, null, dot(1)))).toEqual([1])
})

test('a run never mixes branches', () => {
  const recent = new RecentBlocks()
  chain(recent, 1, 3)
  recent.add(document, block(3, hash(2), 'f'))
  recent.add(document, block(4, hash(3)))
  expect(recent.between(document, dot(2), dot(4))).toBe(undefined)
  expect(sequences(recent.between(document, dot(2), dot(3, 'f')))).toEqual([3])
  expect(recent.between(document, dot(2, 'f'), dot(4))).toBe(undefined)
})

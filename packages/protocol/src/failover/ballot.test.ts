import { expect, test } from 'vitest'
import { type Acceptor, ballotAbove, chosenOf, compareBallots, EMPTY_ACCEPTOR, latestOf } from './ballot.ts'
import type { Prefix } from './prefix.ts'

const ballot = (round: number, by = 'aa') => ({ round, by: by.repeat(8) as Prefix })
const holding = (round: number, value: number): Acceptor => ({
  promised: ballot(round),
  accepted: ballot(round),
  value: Uint8Array.of(value),
})

test('a later round is the higher ballot, and of one round no two are equal', () => {
  expect(compareBallots(ballot(1), ballot(2))).toBeLessThan(0)
  expect(compareBallots(ballot(2, 'bb'), ballot(2, 'aa'))).toBeGreaterThan(0)
  expect(ballotAbove([ballot(3), ballot(7, 'ff')], ballot(0, '01').by)).toEqual(ballot(8, '01'))
})

test('two that accepted the same have chosen it, whatever lies in the third', () => {
  expect(chosenOf([holding(2, 1), holding(3, 2), holding(2, 1)])?.value).toEqual(Uint8Array.of(1))
  expect(chosenOf([holding(2, 1), EMPTY_ACCEPTOR, EMPTY_ACCEPTOR])?.value).toBeNull()
  expect(chosenOf([holding(2, 1), holding(3, 2)])).toBeUndefined()
  expect(chosenOf([holding(2, 1)])).toBeUndefined()
})

test('what may have been chosen is what was accepted last, not what was promised last', () => {
  const promised = { ...holding(2, 1), promised: ballot(9) }
  expect(latestOf([promised, holding(3, 2)]).value).toEqual(Uint8Array.of(2))
})

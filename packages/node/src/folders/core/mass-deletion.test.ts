import { expect, test } from 'vitest'
import { MassDeletion } from './mass-deletion.ts'

test('a few of many pass, a third or a hundred are held', () => {
  expect(new MassDeletion().holds(2, 2, 0)).toBe(false)
  expect(new MassDeletion().holds(3, 9, 0)).toBe(false)
  expect(new MassDeletion().holds(4, 9, 0)).toBe(true)
  expect(new MassDeletion().holds(100, 2_000, 0)).toBe(false)
  expect(new MassDeletion().holds(101, 2_000, 0)).toBe(true)
})

test('those of one minute count together, whatever the packets that they came in', () => {
  const deletions = new MassDeletion()
  expect(deletions.holds(2, 9, 0)).toBe(false)
  deletions.did(2, 9, 0)
  expect(deletions.holds(2, 7, 30_000)).toBe(true)
  expect(deletions.holds(2, 7, 61_000)).toBe(false)
})

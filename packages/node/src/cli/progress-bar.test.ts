import { expect, test } from 'vitest'
import { progressBar } from './progress-bar.ts'

test('a bar fills with what is done, and is full only at the end', () => {
  expect(progressBar(0, 10)).toBe('[....................]   0 %')
  expect(progressBar(45, 100)).toBe('[#########...........]  45 %')
  expect(progressBar(999, 1_000)).toBe('[###################.]  99 %')
  expect(progressBar(10, 10)).toBe('[####################] 100 %')
  expect(progressBar(0, 0)).toBe('[####################] 100 %')
})

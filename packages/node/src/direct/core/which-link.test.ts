import type { NodeId } from '@sealmesh/protocol/ids'
import { expect, test } from 'vitest'
import { type DialledBy, keeps } from './which-link.ts'

const SMALL = 'aa' as NodeId
const LARGE = 'bb' as NodeId
const other = (by: DialledBy): DialledBy => (by === 'here' ? 'there' : 'here')

test('both ends keep the same one of two links, in whatever order each of them saw them come', () => {
  for (const first of ['here', 'there'] as const)
    for (const firstThere of ['here', 'there'] as const) {
      const atSmall = keeps(SMALL, LARGE, first, other(first)) === 'older' ? first : other(first)
      const atLarge = keeps(LARGE, SMALL, firstThere, other(firstThere)) === 'older' ? firstThere : other(firstThere)
      expect([atSmall, atLarge]).toEqual(['here', 'there'])
    }
})

test('of two that one machine has dialled the newer stays', () => {
  expect(keeps(LARGE, SMALL, 'here', 'here')).toBe('newer')
  expect(keeps(LARGE, SMALL, 'there', 'there')).toBe('newer')
})

import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { AgentId, PacketId } from '@sealmesh/protocol/ids'
import { expect, test } from 'vitest'
import { Flight } from './flight.ts'

const id = (n: number): PacketId => `${n}` as PacketId
const name: DocumentName = { agent: 'a' as AgentId, layer: 'semantic' }

test('T-relay-10: what a packet carries is handed over when it and all before it are answered, and is in doubt when none comes', () => {
  const flight = new Flight()
  for (const n of [1, 2, 3])
    flight.sent(id(n), [{ document: { ...name, layer: `l${n}` }, after: [], vector: [] }], n * 1_000)
  expect(flight.size).toBe(3)
  expect(flight.answered(id(2))?.over).toEqual([])
  expect(flight.size).toBe(2)
  expect(flight.answered(id(1))?.over.map(({ document }) => document.layer)).toEqual(['l1', 'l2'])
  expect(flight.answered(id(1))).toBeUndefined()
  expect(flight.answered(id(9))).toBeUndefined()
  // The second, which is the oldest that is not answered; the third went later.
  expect([flight.isOverdue(47_999), flight.isOverdue(48_000)]).toEqual([false, true])
  flight.forget()
  expect(flight.isOverdue(48_000)).toBe(false)
  expect(flight.size).toBe(0)
  expect(flight.answered(id(3))).toBeUndefined()
})

import type { NodeId, PacketId } from '@sealmesh/protocol/ids'
import { expect, test } from 'vitest'
import { DOUBT_AFTER_MS, OVERDUE_MS, PROBE_AFTER_MS } from './direct-limits.ts'
import { DirectOffers } from './direct-offers.ts'

const A = 'aa' as NodeId
const B = 'bb' as NodeId
const offer = (number: number, bytes = 10) => ({ id: `${number}` as PacketId, bytes: new Uint8Array(bytes) })
const idsOf = (offers: readonly { readonly id: PacketId }[]): string[] => offers.map(({ id }) => id)

test('what is answered is nobody else’s business', () => {
  const offers = new DirectOffers()
  offers.sent(offer(1), A, 0)
  expect(offers.answered('1' as PacketId)?.id).toBe('1')
  expect(offers.answered('1' as PacketId)).toBeUndefined()
  expect(offers.size).toBe(0)
  expect(offers.due(60_000, true)).toEqual({ probe: [], overdue: [] })
})

test('a link that does not answer is asked, once, and then passed by until it shows a sign of life', () => {
  const offers = new DirectOffers()
  offers.sent(offer(1), A, 0)
  offers.sent(offer(2), B, DOUBT_AFTER_MS - 1)
  expect(offers.due(PROBE_AFTER_MS - 1, true)).toEqual({ probe: [], overdue: [] })
  expect(offers.due(PROBE_AFTER_MS, true)).toEqual({ probe: [A], overdue: [] })
  expect(offers.due(DOUBT_AFTER_MS - 1, true)).toEqual({ probe: [], overdue: [] })
  const late = offers.due(DOUBT_AFTER_MS, true)
  expect(idsOf(late.overdue)).toEqual(['1'])
  expect([offers.isDoubted(A), offers.isDoubted(B)]).toEqual([true, false])
  offers.alive(A, DOUBT_AFTER_MS)
  expect(offers.isDoubted(A)).toBe(false)
})

test('all that a doubted link owes goes elsewhere, what was sent a moment ago too', () => {
  const offers = new DirectOffers()
  offers.sent(offer(1), A, 0)
  offers.sent(offer(2), A, DOUBT_AFTER_MS - 1)
  expect(idsOf(offers.due(DOUBT_AFTER_MS, true).overdue)).toEqual(['1', '2'])
})

test('a link that lives and does not answer has longer, but not for ever', () => {
  const offers = new DirectOffers()
  offers.sent(offer(1), A, 0)
  for (let nowMs = 0; nowMs < OVERDUE_MS; nowMs += 100) {
    const { probe, overdue } = offers.due(nowMs, true)
    expect(overdue).toEqual([])
    if (probe.length > 0) offers.alive(A, nowMs + 50)
  }
  expect(idsOf(offers.due(OVERDUE_MS, true).overdue)).toEqual(['1'])
})

test('a sign of life from before the silence says nothing about it', () => {
  const offers = new DirectOffers()
  offers.sent(offer(1), A, 0)
  offers.alive(A, 10)
  expect(offers.due(DOUBT_AFTER_MS + 9, true).overdue).toEqual([])
  expect(idsOf(offers.due(DOUBT_AFTER_MS + 10, true).overdue)).toEqual(['1'])
})

test('where no relay is live it stays where it is', () => {
  const offers = new DirectOffers()
  offers.sent(offer(1), A, 0)
  expect(offers.due(60_000, false).overdue).toEqual([])
  expect(offers.isDoubted(A)).toBe(true)
  expect(idsOf(offers.due(60_000, true).overdue)).toEqual(['1'])
})

test('what a link owes when it falls is given back, and so is its room', () => {
  const offers = new DirectOffers(25)
  offers.sent(offer(1), A, 0)
  offers.sent(offer(2), B, 0)
  expect([offers.hasRoom(5), offers.hasRoom(6)]).toEqual([true, false])
  expect(idsOf(offers.left(A))).toEqual(['1'])
  expect(offers.left(A)).toEqual([])
  expect(offers.hasRoom(15)).toBe(true)
  offers.left(B)
  expect(offers.hasRoom(25)).toBe(true)
})

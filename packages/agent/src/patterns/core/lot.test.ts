import type { AuctionRecord } from '@sealmesh/protocol/messages/auction'
import type { Message } from '@sealmesh/protocol/messages/message'
import { expect, test } from 'vitest'
import { callAuction, CONFIRM_MS, lotDueAtMs, lotFrom, stepLot } from './lot.ts'
import type { Lot, LotEvent } from './lot.ts'

const END_MS = 1_000
const message = { id: 'm1' } as Message
const record: AuctionRecord = {
  version: 1,
  auction: 'a',
  title: '',
  capability: 'build',
  payload: null,
  deadlineAtMs: END_MS,
  openedAtMs: 0,
  invited: ['ada', 'bob'],
  state: 'open',
  bids: [],
  attempt: 0,
  winner: null,
  told: false,
}

const stepped = (lot: Lot, event: LotEvent, nowMs: number) => stepLot(lot, event, { nowMs }, ({ price }) => -price)
const bid = (from: string, price: number): LotEvent => ({
  type: 'bid',
  from,
  bid: { auction: 'a', price, load: 0, capacity: 1 },
})
const take = (from: string, attempt: number, acted = false): LotEvent => ({
  type: 'answer',
  from,
  attempt,
  take: true,
  acted,
  message,
})

/** Offered to ada, who is cheaper, and then, if she is silent, to bob. */
function offered(attempt: 1 | 2): Lot {
  let lot = callAuction(record, { nowMs: 0 }).next
  for (const event of [bid('ada', 1), bid('bob', 2)]) lot = stepped(lot, event, 10).next
  lot = stepped(lot, { type: 'tick' }, END_MS).next
  return attempt === 1 ? lot : stepped(lot, { type: 'tick' }, END_MS + CONFIRM_MS).next
}
const NOW_MS = END_MS + CONFIRM_MS + 1

test('nobody but the winner confirms, and only the award that runs', () => {
  expect(stepped(offered(1), take('bob', 1), NOW_MS).next.record.state).toBe('offered')
  expect(stepped(offered(2), take('bob', 1), NOW_MS).next.record.state).toBe('offered')
  const late = stepped(offered(2), take('ada', 1), NOW_MS)
  expect(late.next.record).toMatchObject({ state: 'offered', winner: 'bob', attempt: 2 })
  expect(late.effects).toMatchObject([{ draft: { to: 'ada', payload: { state: 'withdrawn', attempt: 1 } } }])
  expect(stepped(offered(2), take('bob', 2), NOW_MS).next.record).toMatchObject({ state: 'sold', winner: 'bob' })
})

test('an award is written down before it is told, and so is that it is final', () => {
  const types = (step: { effects: readonly { type: string }[] }) => step.effects.map(({ type }) => type)
  const called = callAuction(record, { nowMs: 0 })
  expect(types(called)).toEqual(['record', 'note', 'send', 'send'])
  const open = stepped(called.next, bid('ada', 1), 10).next
  expect(types(stepped(open, { type: 'tick' }, END_MS))).toEqual(['record', 'note', 'send'])
  expect(types(stepped(offered(1), take('ada', 1), NOW_MS))).toEqual(['record', 'note', 'send'])
})

test('whoever was not invited, or comes too late, has not bid', () => {
  const { next } = callAuction(record, { nowMs: 0 })
  expect(stepped(next, bid('eve', 0), 10).next.bids.size).toBe(0)
  expect(stepped(next, bid('ada', 0), END_MS).next.bids.size).toBe(0)
})

test('what is sold stays sold, and its winner is told after a crash', () => {
  const sold = stepped(offered(1), take('ada', 1), NOW_MS).next
  for (const event of [{ type: 'cancel' }, { type: 'tick' }, take('bob', 2), bid('bob', 0)] as const)
    expect(stepped(sold, event, NOW_MS * 2).next.record).toEqual(sold.record)
  const again = stepped(lotFrom(sold.record, NOW_MS), { type: 'resumed' }, NOW_MS)
  expect(again.effects).toMatchObject([{ draft: { to: 'ada', payload: { state: 'final' } } }])
  expect(again.next.record).toEqual(sold.record)
})

test('a score that is no number is no bid', () => {
  const open = callAuction(record, { nowMs: 0 }).next
  const bids = stepped(stepped(open, bid('ada', 1), 10).next, bid('bob', 2), 10).next
  const scored = stepLot(bids, { type: 'tick' }, { nowMs: END_MS }, ({ price }) => (price === 1 ? Number.NaN : 0))
  expect(scored.next.record).toMatchObject({ winner: 'bob', bids: [{ bidder: 'bob' }] })
})

test('a winner is told again, more and more seldom, until it says that it has acted or a week is over', () => {
  let lot = stepped(offered(1), take('ada', 1), NOW_MS).next
  const toldAtMs: number[] = []
  for (let dueMs = lotDueAtMs(lot); dueMs !== null && toldAtMs.length < 8; dueMs = lotDueAtMs(lot)) {
    const step = stepped(lot, { type: 'tick' }, dueMs)
    expect(step.effects).toMatchObject([
      { type: 'send', draft: { to: 'ada', payload: { state: 'final', attempt: 1 } } },
    ])
    toldAtMs.push(dueMs - NOW_MS)
    lot = step.next
  }
  expect(toldAtMs.map((ms) => ms / 30_000)).toEqual([1, 3, 7, 15, 31, 51, 71, 91])
  // Nobody else can say it for the winner.
  for (const other of [take('bob', 1, true), take('ada', 2, true), take('ada', 1)])
    expect(stepped(lot, other, NOW_MS).next.record.told).toBe(false)
  const acted = stepped(lot, take('ada', 1, true), NOW_MS)
  expect(acted).toMatchObject({ next: { record: { state: 'sold', winner: 'ada', told: true } } })
  expect(lotDueAtMs(acted.next)).toBeNull()
  expect(stepped(lot, { type: 'tick' }, END_MS + 8 * 86_400_000).next.record.told).toBe(true)
})

import type { Message } from '@sealmesh/protocol/messages/message'
import { AWARDS_MAX } from '@sealmesh/protocol/messages/auction'
import type { AuctionCall, AuctionRecord, Award, Bid, RankedBid } from '@sealmesh/protocol/messages/auction'
import type { Effect, Step, World } from './step.ts'

/**
 * One auction, on the side of its caller: docs/spec/17-patterns.md §5. Invariants:
 * 1. A bidder's first bid before the deadline counts: a later one could be a duplicate that was overtaken.
 * 2. An award is recorded before it is told, one bidder an attempt.
 * 3. A winner acts only when it was told that the award is final, and that is recorded first, of the attempt that runs.
 *    Nothing follows it. So a winner that was cut off and passed over never acts beside the next one.
 * 4. A winner is told so again until it says that it has acted: what it was told may have ended with its machine.
 */

/** A winner that has not confirmed is passed over. */
export const CONFIRM_MS = 10_000

/** A winner that has not said that it acted is told again, after this and then twice as long each time. */
const TELL_AGAIN_MS = 30_000
const TELL_AGAIN_MS_MAX = 600_000
/** As long as a worker keeps a result for its asker. */
const TELL_FOR_MS = 7 * 86_400_000

export interface Lot {
  readonly record: AuctionRecord
  /** Before the deadline; lost in a crash, after which everybody is asked again. */
  readonly bids: ReadonlyMap<string, Bid>
  /** When a winner that has said nothing is passed over, or told again that it won. */
  readonly confirmByMs: number
  readonly tellAgainMs: number
}

export type LotEvent =
  | { readonly type: 'tick' }
  /** After a start: what a crash may have kept from being sent is sent again. */
  | { readonly type: 'resumed' }
  | { readonly type: 'bid'; readonly from: string; readonly bid: Bid }
  | {
      readonly type: 'answer'
      readonly from: string
      readonly attempt: number
      readonly take: boolean
      readonly acted: boolean
      readonly message: Message
    }
  | { readonly type: 'cancel' }
  | { readonly type: 'told' }

export type LotStep = Step<Lot>
/** Higher is better. */
export type Score = (bid: Bid, bidder: string) => number

export const auctionKey = (id: string): string => `auction.${id}`

export const lotFrom = (record: AuctionRecord, nowMs: number): Lot => ({
  record,
  bids: new Map(),
  confirmByMs: nowMs + CONFIRM_MS,
  tellAgainMs: TELL_AGAIN_MS,
})

export function lotDueAtMs({ record, confirmByMs }: Lot): number | null {
  if (record.state === 'open') return record.deadlineAtMs
  return record.state === 'offered' || isUntold(record) ? confirmByMs : null
}

export function callAuction(record: AuctionRecord, { nowMs }: World): LotStep {
  const note: Effect = { type: 'note', event: 'called' }
  return { next: lotFrom(record, nowMs), effects: [recordOf(record), note, ...calls(record, nowMs)] }
}

export function stepLot(lot: Lot, event: LotEvent, world: World, score: Score): LotStep {
  const { record } = lot
  const { nowMs } = world
  const stay: LotStep = { next: lot, effects: [] }
  switch (event.type) {
    case 'tick':
      if (record.state === 'open' && nowMs >= record.deadlineAtMs) return close(lot, score, world)
      if (nowMs < lot.confirmByMs) return stay
      if (record.state === 'offered') return passOver(lot, 'silent', world)
      return isUntold(record) ? tellAgain(lot, 2 * lot.tellAgainMs, world) : stay
    case 'resumed':
      return resume(lot, world)
    case 'bid':
      if (record.state !== 'open' || nowMs >= record.deadlineAtMs || !record.invited.includes(event.from))
        return { next: lot, effects: [{ type: 'note', event: 'bid-refused', agent: event.from }] }
      // Invariant 1.
      if (lot.bids.has(event.from)) return stay
      return {
        next: { ...lot, bids: new Map(lot.bids).set(event.from, event.bid) },
        effects: [{ type: 'note', event: 'bid', agent: event.from }],
      }
    case 'answer':
      return hearAnswer(lot, event, world)
    case 'cancel': {
      // What is sold is the winner's, who may be at work on it.
      if (record.state !== 'open' && record.state !== 'offered') return stay
      const step = end(lot, 'cancelled')
      const withdrawn = record.winner === null ? [] : [award(record, 'withdrawn')]
      return { next: step.next, effects: [...step.effects, ...withdrawn] }
    }
    // Nothing asks for it: who is told says so himself.
    case 'told':
      return stay
  }
}

function resume(lot: Lot, { nowMs }: World): LotStep {
  const { record } = lot
  switch (record.state) {
    case 'open':
      return { next: lot, effects: calls(record, nowMs) }
    case 'offered':
      return { next: { ...lot, confirmByMs: nowMs + CONFIRM_MS }, effects: [award(record, 'offered')] }
    case 'sold':
      return record.told ? { next: lot, effects: [] } : tellAgain(lot, TELL_AGAIN_MS, { nowMs })
    case 'unsold':
    case 'cancelled':
      return { next: lot, effects: [] }
  }
}

function close(lot: Lot, score: Score, world: World): LotStep {
  const bids: RankedBid[] = [...lot.bids]
    .map(([bidder, bid]) => ({
      bidder,
      price: bid.price,
      load: bid.load,
      capacity: bid.capacity,
      score: score(bid, bidder),
    }))
    // A score that is no number would make the order depend on who came first.
    .filter((bid) => Number.isFinite(bid.score))
    .sort((a, b) => b.score - a.score || (a.bidder < b.bidder ? -1 : 1))
  return offer({ ...lot, record: { ...lot.record, bids } }, 1, world)
}

function offer(lot: Lot, attempt: number, { nowMs }: World): LotStep {
  const winner = lot.record.bids[attempt - 1]?.bidder
  if (winner === undefined || attempt > AWARDS_MAX) return end(lot, 'unsold')
  const record: AuctionRecord = { ...lot.record, state: 'offered', attempt, winner }
  return {
    next: { ...lot, record, confirmByMs: nowMs + CONFIRM_MS },
    effects: [recordOf(record), { type: 'note', event: 'offered', agent: winner }, award(record, 'offered')],
  }
}

function passOver(lot: Lot, why: string, world: World): LotStep {
  const { next, effects } = offer(lot, lot.record.attempt + 1, world)
  const note: Effect = { type: 'note', event: why, agent: lot.record.winner as string }
  return { next, effects: [...effects, note, award(lot.record, 'withdrawn')] }
}

function hearAnswer(lot: Lot, event: Extract<LotEvent, { type: 'answer' }>, world: World): LotStep {
  const { record } = lot
  const { from, attempt } = event
  const isCurrent = record.winner === from && record.attempt === attempt
  if (record.state === 'offered' && isCurrent) {
    if (!event.take) return passOver(lot, 'declined', world)
    const sold: AuctionRecord = { ...record, state: 'sold' }
    const note: Effect = { type: 'note', event: 'sold', agent: from }
    const again = { confirmByMs: world.nowMs + TELL_AGAIN_MS, tellAgainMs: TELL_AGAIN_MS }
    return {
      next: { ...lot, record: sold, ...again },
      effects: [recordOf(sold), note, award(sold, 'final', event.message)],
    }
  }
  if (record.state === 'sold' && isCurrent && event.acted) return record.told ? { next: lot, effects: [] } : told(lot)
  // Told again, whichever it was: the first word may have been lost with its machine.
  if (record.state === 'sold' && isCurrent) return { next: lot, effects: [award(record, 'final', event.message)] }
  const given = record.bids[attempt - 1]?.bidder === from && attempt <= record.attempt
  if (!given || !event.take) return { next: lot, effects: [] }
  return { next: lot, effects: [award({ ...record, winner: from, attempt }, 'withdrawn', event.message)] }
}

/** Invariant 4. */
function tellAgain(lot: Lot, nextMs: number, { nowMs }: World): LotStep {
  if (nowMs > lot.record.deadlineAtMs + TELL_FOR_MS) return told(lot)
  const tellAgainMs = Math.min(nextMs, TELL_AGAIN_MS_MAX)
  return { next: { ...lot, tellAgainMs, confirmByMs: nowMs + tellAgainMs }, effects: [award(lot.record, 'final')] }
}

function told(lot: Lot): LotStep {
  const record = { ...lot.record, told: true }
  return { next: { ...lot, record }, effects: [recordOf(record)] }
}

const isUntold = ({ state, told: isTold }: AuctionRecord): boolean => state === 'sold' && !isTold

function end(lot: Lot, state: 'unsold' | 'cancelled'): LotStep {
  const record: AuctionRecord = { ...lot.record, state, winner: null, told: true }
  return { next: { ...lot, record }, effects: [recordOf(record), { type: 'note', event: state }] }
}

function calls(record: AuctionRecord, nowMs: number): Effect[] {
  const call = callOf(record)
  return record.invited.map((to) => ({
    type: 'send',
    draft: {
      to,
      type: 'auction-call',
      payload: call,
      expiresMs: Math.max(1, record.deadlineAtMs - nowMs),
      ...about(record),
    },
  }))
}

function award(record: AuctionRecord, state: Award['state'], causedBy?: Message): Effect {
  const { auction, attempt } = record
  const payload: Award =
    state === 'withdrawn' ? { auction, attempt, state } : { auction, attempt, state, call: callOf(record) }
  const draft = { to: record.winner as string, type: 'award', payload, ...about(record) }
  return { type: 'send', draft: causedBy === undefined ? draft : { ...draft, causedBy } }
}

const callOf = ({ auction, title, capability, payload, deadlineAtMs }: AuctionRecord): AuctionCall => ({
  auction,
  title,
  capability,
  payload,
  deadlineAtMs,
})

const recordOf = (record: AuctionRecord): Effect => ({
  type: 'record',
  key: auctionKey(record.auction),
  value: record,
})

const about = ({ auction }: AuctionRecord) => ({ correlation: auction, durable: true })

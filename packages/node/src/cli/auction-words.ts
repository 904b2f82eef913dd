import type { AuctionRecord } from '@sealmesh/protocol/messages/auction'
import type { Found } from './own-records.ts'
import { oneLine } from './printable.ts'
import type { Column } from './table.ts'
import { at } from './task-words.ts'

/** An auction for people. Titles and payloads are words of agents: made harmless, and cut. */

const SHOWN_MAX = 400

export const AUCTION_COLUMNS: readonly Column[] = [
  { title: 'ID' },
  { title: 'CALLED BY' },
  { title: 'STATE' },
  { title: 'BIDS', align: 'right' },
  { title: 'WINNER' },
  { title: 'UNTIL' },
  { title: 'TITLE' },
]

export const auctionRow = ({ agent, record }: Found<AuctionRecord>): readonly string[] => [
  record.auction,
  agent,
  record.state,
  // Written down at the deadline.
  record.state === 'open' ? '?' : String(record.bids.length),
  record.winner ?? '-',
  at(record.deadlineAtMs),
  oneLine(record.title, 60),
]

export function showAuction({ agent, record }: Found<AuctionRecord>): string[] {
  const { auction, title, capability, payload, state, winner, invited, bids, deadlineAtMs } = record
  return [
    `${auction}  ${oneLine(title, SHOWN_MAX)}`,
    `  ${state}${state === 'sold' ? ` to ${winner}` : ''}; called by ${agent}, for ${capability}, until ${at(deadlineAtMs)}`,
    `  ${oneLine(`invited: ${invited.join(', ') || 'nobody'}`, SHOWN_MAX)}`,
    ...(payload === null ? [] : [`  payload ${oneLine(JSON.stringify(payload), SHOWN_MAX)}`]),
    ...bids.map(({ bidder, price, load, capacity }) => `  ${bidder}: ${price}, load ${load} of ${capacity}`),
  ]
}

import { z } from 'zod'
import { Name } from '../ipc/shapes.ts'
import { MessageId } from './message.ts'
import { Capability, Content, Moment, Title } from './task.ts'

/** An auction, as its caller keeps it, and what it and the bidders say: docs/spec/17-patterns.md §5. */

export const BIDS_MAX = 256
/** Winners that may be passed over, one after the other, before nothing is sold. */
export const AWARDS_MAX = 16
const Attempt = z.number().int().min(1).max(AWARDS_MAX)
const Amount = z.number().min(0).max(1_000_000)

export const AuctionCall = z.object({
  auction: MessageId,
  title: Title,
  capability: Capability,
  payload: Content,
  /** By the caller's clock, which alone decides. */
  deadlineAtMs: Moment,
})
export type AuctionCall = z.infer<typeof AuctionCall>

/** Load and capacity in the bidder's own unit, the same in both. */
export const Bid = z.object({ auction: MessageId, price: Amount, load: Amount, capacity: Amount })
export type Bid = z.infer<typeof Bid>

/**
 * `award`: offered first, and final once the winner has confirmed and that is recorded. Only `final` lets a winner act.
 * `call`: what it is about, for a winner that has crashed since it bid, and may not read the caller's register.
 */
export const Award = z.object({
  auction: MessageId,
  attempt: Attempt,
  state: z.enum(['offered', 'final', 'withdrawn']),
  call: AuctionCall.optional(),
})
export type Award = z.infer<typeof Award>

/** `acted`: it knows that the award is final, and has done with it; until then it is told again. */
export const AwardAnswer = z.object({
  auction: MessageId,
  attempt: Attempt,
  take: z.boolean(),
  acted: z.boolean().default(false),
})
export const AWARD_ANSWER = 'award-answer'

const RankedBid = Bid.omit({ auction: true }).extend({ bidder: Name, score: z.number() })
export type RankedBid = z.infer<typeof RankedBid>

/** `auction.ID` in the caller's layer `tasks`. `sold` never changes again. */
export const AuctionRecord = AuctionCall.extend({
  version: z.literal(1),
  openedAtMs: Moment,
  /** Nobody else's bid counts. */
  invited: z.array(Name).max(BIDS_MAX),
  state: z.enum(['open', 'offered', 'sold', 'unsold', 'cancelled']),
  /** Written down at the deadline, best first. */
  bids: z.array(RankedBid).max(BIDS_MAX),
  /** Of the bid to which it is awarded, from 1; 0 before. */
  attempt: z.number().int().min(0).max(AWARDS_MAX),
  winner: Name.nullable(),
  /** The winner has said that it knows and has acted, or was silent for too long; nobody is told of one that was not sold. */
  told: z.boolean(),
})
export type AuctionRecord = z.infer<typeof AuctionRecord>

import { AuctionCall, AuctionRecord, Award, AWARD_ANSWER } from '@sealmesh/protocol/messages/auction'
import type { Bid } from '@sealmesh/protocol/messages/auction'
import type { Message } from '@sealmesh/protocol/messages/message'
import { auctionKey } from './core/lot.ts'
import { agentOf } from './core/step.ts'
import type { PatternDeps } from './deps.ts'
import { readRecord } from './own-registers.ts'

/** Auctions that it remembers. */
const REMEMBERED_MAX = 256

export type Offered = AuctionCall & { readonly caller: string }

export interface BidderOptions {
  /** Null: no bid. What it throws is none either. */
  readonly bid: (call: Offered) => Promise<Omit<Bid, 'auction'> | null>
  /** Asked when it has won: whether there is room still. */
  readonly takes?: (call: Offered) => boolean
  /** It is this agent's, and nobody else's. May be called again after a crash. */
  readonly onWon: (call: Offered) => Promise<void> | void
}

interface Remembered {
  readonly call: Offered
  readonly bidding: Promise<Omit<Bid, 'auction'> | null>
  won: boolean
}

/** Bids when it is asked to, and acts on an award only when that is final: docs/spec/17-patterns.md §5. */
export class Bidder {
  readonly #deps: PatternDeps
  readonly #options: BidderOptions
  readonly #known = new Map<string, Remembered>()
  readonly #stopListening: () => void

  constructor(deps: PatternDeps, options: BidderOptions) {
    this.#deps = deps
    this.#options = options
    this.#stopListening = deps.port.onDelivery(({ message }) => this.#take(message))
  }

  close(): void {
    this.#stopListening()
  }

  async #take(message: Message): Promise<void> {
    const caller = agentOf(message.from)
    if (message.type === 'auction-call') {
      const read = AuctionCall.safeParse(message.payload)
      if (read.success) await this.#bid({ ...read.data, caller }, message)
    } else if (message.type === 'award') {
      const read = Award.safeParse(message.payload)
      if (read.success) await this.#hearAward(read.data, caller, message)
    }
  }

  async #bid(call: Offered, message: Message): Promise<void> {
    this.#heard(message)
    const bid = await this.#remember(call).bidding
    if (bid !== null) await this.#answer(message, 'bid', call, { auction: call.auction, ...bid })
  }

  async #hearAward({ auction, attempt, state }: Award, caller: string, message: Message): Promise<void> {
    this.#heard(message)
    const key = `${caller}.${auction}`
    const call = this.#known.get(key)?.call ?? (await this.#read(caller, auction))
    if (state === 'withdrawn') return
    if (state === 'offered') {
      // What it does not know any more, and cannot read, somebody else shall do.
      const take = call !== undefined && (this.#options.takes?.(call) ?? true)
      return this.#answer(message, AWARD_ANSWER, { auction, caller }, { auction, attempt, take })
    }
    if (call === undefined) return
    const known = this.#known.get(key) ?? this.#remember(call)
    if (known.won) return
    known.won = true
    await this.#options.onWon(call)
  }

  /** After a crash the caller's register still says what it was. */
  async #read(caller: string, auction: string): Promise<Offered | undefined> {
    const record = await readRecord(this.#deps.port, caller, auctionKey(auction), AuctionRecord)
    return record && { ...AuctionCall.parse(record), caller }
  }

  #remember(call: Offered): Remembered {
    const key = `${call.caller}.${call.auction}`
    const before = this.#known.get(key)
    if (before !== undefined) return before
    const entry = { call, bidding: this.#options.bid(call), won: false }
    this.#known.set(key, entry)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= REMEMBERED_MAX) break
      this.#known.delete(oldest)
    }
    return entry
  }

  #heard(message: Message): void {
    const { trace, port, nowMs } = this.#deps
    trace.heard(port.name, 'auction', message, nowMs())
  }

  async #answer(
    causedBy: Message,
    type: string,
    { auction, caller }: Pick<Offered, 'auction' | 'caller'>,
    payload: unknown,
  ): Promise<void> {
    await this.#deps.port.send({ to: caller, type, payload, correlation: auction, causedBy, durable: true })
  }
}

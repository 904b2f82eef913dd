import { agentOf } from '@sealmesh/protocol/messages/addresses'
import { AuctionCall, AuctionRecord, Award, AWARD_ANSWER } from '@sealmesh/protocol/messages/auction'
import type { Bid } from '@sealmesh/protocol/messages/auction'
import type { Message } from '@sealmesh/protocol/messages/message'
import { auctionKey } from './core/lot.ts'
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
  /**
   * It is this agent's, and nobody else's. Called again after a crash that came before it had ended, and after what it
   * threw, when the caller tells of it again.
   */
  readonly onWon: (call: Offered) => Promise<void> | void
}

interface Remembered {
  readonly call: Offered
  /** Undefined for one that was heard of by its award, in an earlier life or by another machine. */
  readonly bidding: Promise<Omit<Bid, 'auction'> | null> | undefined
  acting: Promise<void> | undefined
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
    const bid = await this.#remember(call, () => this.#options.bid(call)).bidding
    if (bid !== null && bid !== undefined) await this.#answer(message, 'bid', call, { auction: call.auction, ...bid })
  }

  async #hearAward({ auction, attempt, state, call: told }: Award, caller: string, message: Message): Promise<void> {
    this.#heard(message)
    if (state === 'withdrawn') return
    const named = told?.auction === auction ? { ...told, caller } : undefined
    const call = this.#known.get(`${caller}.${auction}`)?.call ?? named ?? (await this.#read(caller, auction))
    const about = { auction, caller }
    if (state === 'offered') {
      // What it does not know any more, and cannot read, somebody else shall do.
      const take = call !== undefined && (this.#options.takes?.(call) ?? true)
      return this.#answer(message, AWARD_ANSWER, about, { auction, attempt, take })
    }
    if (call === undefined) return
    await this.#act(this.#remember(call))
    await this.#answer(message, AWARD_ANSWER, about, { auction, attempt, take: true, acted: true })
  }

  /** Once, however often it is told; again after a failure. */
  async #act(known: Remembered): Promise<void> {
    known.acting ??= (async () => this.#options.onWon(known.call))()
    try {
      await known.acting
    } catch (failure) {
      known.acting = undefined
      throw failure
    }
  }

  /** After a crash the caller's register still says what it was. */
  async #read(caller: string, auction: string): Promise<Offered | undefined> {
    const record = await readRecord(this.#deps.port, caller, auctionKey(auction), AuctionRecord)
    return record && { ...AuctionCall.parse(record), caller }
  }

  #remember(call: Offered, bid?: () => Remembered['bidding']): Remembered {
    const key = `${call.caller}.${call.auction}`
    const before = this.#known.get(key)
    if (before !== undefined) return before
    const entry: Remembered = { call, bidding: bid?.(), acting: undefined }
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

import { Failure } from '@sealmesh/protocol/errors'
import { agentOf } from '@sealmesh/protocol/messages/addresses'
import { AuctionRecord, AwardAnswer, AWARD_ANSWER, Bid, BIDS_MAX } from '@sealmesh/protocol/messages/auction'
import type { Message } from '@sealmesh/protocol/messages/message'
import { auctionKey, callAuction, lotDueAtMs, lotFrom, stepLot } from './core/lot.ts'
import type { Lot, LotEvent, Score } from './core/lot.ts'
import { isAble } from './core/selection.ts'
import type { PatternDeps } from './deps.ts'
import { Kept } from './kept.ts'
import type { NewTask, OpenTask, Tasks } from './tasks.ts'

export interface NewAuction extends Pick<AuctionRecord, 'title' | 'capability' | 'payload'> {
  /** Milliseconds from now, until which bids count. */
  readonly withinMs: number
  /** Calling one that is there already gives that one. */
  readonly id?: string
  /** Withdraws it, unless it is sold. */
  readonly signal?: AbortSignal
}

export interface CalledAuction {
  readonly id: string
  /** Sold, unsold or cancelled. */
  readonly over: Promise<AuctionRecord>
}

/** The cheapest; where prices are equal, whoever has most room. A price of 1 weighs as much as being full. */
export const cheapest: Score = ({ price, load, capacity }) => -(price + (capacity > 0 ? load / capacity : 1))

/** Auctions that this agent has called: it alone awards. */
export class Auctions {
  readonly #deps: PatternDeps
  readonly #kept: Kept<AuctionRecord, Lot, LotEvent>
  #stopListening: () => void = () => {}

  private constructor(deps: PatternDeps, score: Score) {
    this.#deps = deps
    this.#kept = new Kept<AuctionRecord, Lot, LotEvent>(deps, {
      pattern: 'auction',
      key: auctionKey,
      schema: AuctionRecord,
      stateOf: (record) => lotFrom(record, deps.nowMs()),
      recordOf: ({ record }) => record,
      idOf: ({ auction }) => auction,
      deadlineAtMs: ({ deadlineAtMs }) => deadlineAtMs,
      isOver: ({ state }) => state === 'sold' || state === 'unsold' || state === 'cancelled',
      isDone: ({ told }) => told,
      step: (lot, event, world) => stepLot(lot, event, world, score),
      dueAtMs: lotDueAtMs,
    })
  }

  /**
   * Goes on with what ran when the agent ran last; with `only` with that one auction, and touches no other. `score` may
   * use all that the agent knows of its bidders.
   */
  static async start(
    deps: PatternDeps,
    score: Score = cheapest,
    options: { readonly only?: string } = {},
  ): Promise<Auctions> {
    const auctions = new Auctions(deps, score)
    await auctions.#kept.load(options.only)
    auctions.#stopListening = deps.port.onDelivery(({ message }) => auctions.#take(message))
    await auctions.#kept.resume()
    return auctions
  }

  /**
   * Invites whoever can do it and is attached now. Resolves when the call is durable. Throws `VALUE_INVALID` for what
   * does not fit, `CORE_BUSY` for too many.
   */
  async call(wanted: NewAuction): Promise<CalledAuction> {
    const { nowMs, newId } = this.#deps
    const id = wanted.id ?? newId()
    const known = await this.#kept.find(id)
    if (known !== undefined) return known
    const record = await this.#recordOf(id, wanted)
    // Another call with this id may have been faster.
    return (await this.#kept.find(id)) ?? this.#kept.add(record, callAuction(record, { nowMs: nowMs() }), wanted.signal)
  }

  /**
   * Sells a task, and opens it with the winner as the one that is tried first; where nobody bid, with whoever is best.
   * After a crash the same call goes on. Undefined when it was cancelled.
   */
  async assign(tasks: Tasks, wanted: NewAuction & { readonly id: string }, more: Partial<NewTask> = {}) {
    const { over } = await this.call(wanted)
    const { state, winner } = await over
    if (state === 'cancelled') return undefined
    const { id, title, capability, payload } = wanted
    const prefer = winner === null ? {} : { prefer: winner }
    const task: Promise<OpenTask> = tasks.open({ ...more, id, title, capability, payload, ...prefer })
    return task
  }

  async close(): Promise<void> {
    this.#stopListening()
    await this.#kept.close()
  }

  async #recordOf(id: string, wanted: NewAuction): Promise<AuctionRecord> {
    const { nowMs, port } = this.#deps
    const { title, capability, payload, withinMs } = wanted
    const views = await port.agents({ capability })
    const able = views.filter((view) => view.name !== port.name && isAble(view, capability))
    const read = AuctionRecord.safeParse({
      version: 1,
      auction: id,
      title,
      capability,
      payload,
      openedAtMs: nowMs(),
      deadlineAtMs: nowMs() + withinMs,
      invited: [...new Set(able.map(({ name }) => name))].slice(0, BIDS_MAX),
      state: 'open',
      bids: [],
      attempt: 0,
      winner: null,
      told: false,
    })
    if (!read.success)
      throw new Failure('VALUE_INVALID', 'The auction does not fit its register: a name, its title or its payload.', {
        next: 'keep large content in a document, and put its UMR into the payload',
      })
    return read.data
  }

  async #take(message: Message): Promise<void> {
    const event = eventOf(message)
    if (event === undefined) return
    await this.#kept.take(event.auction, event, message)
  }
}

function eventOf(message: Message): (LotEvent & { readonly auction: string }) | undefined {
  const from = agentOf(message.from)
  if (message.type === 'bid') {
    const read = Bid.safeParse(message.payload)
    return read.success ? { type: 'bid', from, bid: read.data, auction: read.data.auction } : undefined
  }
  if (message.type !== AWARD_ANSWER) return undefined
  const read = AwardAnswer.safeParse(message.payload)
  return read.success ? { type: 'answer', from, message, ...read.data } : undefined
}

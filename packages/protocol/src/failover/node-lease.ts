import type { AgentId, IncarnationId, NodeId, RecordHash } from '../ids.ts'
import { elapsedMs, type Moment } from './elapsed.ts'
import { type Handed, type Held, heldRoom, type LeaseBlob, NO_PREFIX, type Taken } from './lease-blob.ts'
import { type Prefix, prefixOf } from './prefix.ts'
import { holdsForMs, type LeaseTiming } from './timing.ts'

/** What this node knows of its own lease and must not forget: durable before the register can know more. */
export interface LeaseMemory {
  /** The witness that it is of; null before the first. */
  readonly witness: WitnessName | null
  /** Of the newest write that was tried, by which run, and of the newest that is known to have succeeded. */
  readonly count: number
  readonly incarnation: IncarnationId | null
  readonly confirmed: number
  /** Count of the newest write that was tried and released it; a broken register still says which write it broke. */
  readonly released: number
  /** Agents that a blob lists which may lie at the witness. */
  readonly listed: readonly Prefix[]
  /** What others took and the log does not know yet. */
  readonly taken: readonly Taken[]
  /** The witness forgot: of what it says, only what this node wrote from this count on is to be believed. */
  readonly doubt: number | null
}

/** Who keeps the registers, and which of its memories: another generation has forgotten what the one before it knew. */
export interface WitnessName {
  readonly relays: string
  readonly generation: string
}

export const NO_MEMORY: LeaseMemory = {
  witness: null,
  count: 0,
  incarnation: null,
  confirmed: 0,
  released: 0,
  listed: [],
  taken: [],
  doubt: null,
}

/** An agent that this node holds by the log and that is to be leased. */
export interface Wanted {
  readonly agent: AgentId
  readonly term: number
  readonly record: RecordHash
  readonly sync: RecordHash | null
  /** Whoever else could hold it has said since the doubt that it does not, or a person has: it may be listed in doubt. */
  readonly settled: boolean
}

export interface Won {
  /** When the renewal was sent. */
  readonly sent: Moment
  readonly timing: LeaseTiming
  readonly held: ReadonlyMap<AgentId, Wanted>
  /** In this order of questions. */
  readonly count: number
}

export type FoundVerdict =
  /** Claim on it. */
  | 'ours'
  /** Another node broke it: what it took is gone, and the rest is to be claimed anew. */
  | 'broken'
  /** The same, of one that this node had let go of. */
  | 'taken'
  /** It knows of writes of ours that this home does not: the home is older than it should be, or a copy. */
  | 'ahead'

/**
 * The owner's side of its lease register: what to write into it, and what follows from what was found there
 * (docs/spec/12-failover.md §4). Holds nothing until a compare-and-set of this run has succeeded (invariant 1); counts
 * from when that was sent (2); never lists what the register, or the log, says that another node has (3); writes down
 * what it is about to write before it does (4).
 */
export class NodeLease {
  readonly #node: NodeId
  readonly #incarnation: IncarnationId
  #memory: LeaseMemory
  /** Null: not known, or nothing there; then `#hash` says which. */
  #found: LeaseBlob | null = null
  #won: Won | null = null
  /** Whoever it was handed to may have it, until a write that hands it to nobody has come after. */
  readonly #handedOut = new Set<AgentId>()
  #doubts = 0
  #sending: { readonly blob: LeaseBlob; readonly wanted: readonly Wanted[]; readonly timing: LeaseTiming } | null = null

  constructor(node: NodeId, incarnation: IncarnationId, memory: LeaseMemory) {
    this.#node = node
    this.#incarnation = incarnation
    this.#memory = memory
  }

  /** To be kept. What `found` and `next` return is only to be acted on once it is. */
  get memory(): LeaseMemory {
    return this.#memory
  }

  /** The newest that is known of the register. */
  get register(): LeaseBlob | null {
    return this.#found
  }

  get won(): Won | null {
    return this.#won
  }

  get isInDoubt(): boolean {
    return this.#memory.doubt !== null
  }

  /** Which doubt of this run it is, so that what was heard in one does not end another; null for none. */
  get doubt(): number | null {
    return this.isInDoubt ? this.#doubts : null
  }

  /** Invariant (2): strictly before others may take it. Asked with the time of the act, never from a timer. */
  runs(now: Moment): boolean {
    return this.#won !== null && elapsedMs(this.#won.sent, now) < holdsForMs(this.#won.timing)
  }

  /** What the lease lists of it; undefined where it does not, or does not run. */
  holds(agent: AgentId, now: Moment): Wanted | undefined {
    return this.runs(now) ? this.#won?.held.get(agent) : undefined
  }

  /** Whether others may believe that this node holds a lease of it: a blob that says so was written and may be there. */
  mayBeListed(agent: AgentId): boolean {
    return this.#memory.listed.includes(prefixOf(agent))
  }

  /** What this register said: under this number and those below it this node is not to list it any more. */
  isTaken(agent: AgentId, term: number): boolean {
    return this.#memory.taken.some((taken) => taken.agent === prefixOf(agent) && taken.term >= term)
  }

  /**
   * With every answer, about whichever register: one of another generation says what was once so. True then: what was
   * seen and heard before it says nothing of now.
   */
  heardFrom(witness: WitnessName): boolean {
    const before = this.#memory.witness
    if (before?.relays === witness.relays && before.generation === witness.generation) return false
    this.#memory = { ...this.#memory, witness }
    if (before === null) return false
    this.#doubt()
    // Who does not know yet that the witness has moved may break this lease where it was.
    if (before.relays !== witness.relays) this.#won = null
    return true
  }

  /**
   * What the register holds: read, or found instead of what was expected. `null` for nothing, or nothing that a member
   * has written. `witness` names who says so.
   */
  found(blob: LeaseBlob | null, witness: WitnessName, now: Moment): FoundVerdict {
    this.#sending = null
    this.heardFrom(witness)
    this.#found = blob
    if (blob === null) {
      if (this.#memory.confirmed > 0) this.#doubt()
      return 'ours'
    }
    const { count, incarnation, confirmed } = this.#memory
    const isForeign = blob.count > count || (blob.count === count && count > 0 && blob.incarnation !== incarnation)
    if (isForeign) {
      this.#won = null
      return 'ahead'
    }
    if (blob.count < confirmed) this.#doubt()
    else if (blob.count > confirmed) this.#memory = { ...this.#memory, confirmed: blob.count }
    this.#learn(blob)
    if (blob.state.type !== 'broken') {
      // An earlier renewal, whose answer was lost, may be what lies there: it was sent no earlier than the lease began.
      if (!this.runs(now)) this.#won = null
      return 'ours'
    }
    this.#won = null
    return blob.count === this.#memory.released ? 'taken' : 'broken'
  }

  /** Of the two that took it one lies: the register speaks of writes of this node that it never made, or has lost. */
  adopt(blob: LeaseBlob): void {
    this.#memory = {
      ...this.#memory,
      count: Math.max(this.#memory.count, blob.count),
      confirmed: Math.max(this.#memory.confirmed, blob.count),
      incarnation: blob.incarnation,
    }
    this.#learn(blob)
    this.#doubt()
  }

  /**
   * The blob to write next, over what was found. Keep `memory` first (invariant 4), then `sent`. What it leaves out is
   * not held any more from here on; what it lists anew not before `answered`.
   */
  next(
    state: 'renewed' | 'released',
    wanted: readonly Wanted[],
    handed: readonly { readonly agent: AgentId; readonly to: NodeId }[],
    timing: LeaseTiming,
    now: Moment,
  ): { readonly blob: LeaseBlob; readonly leftOut: readonly AgentId[] } {
    const listable = wanted.filter((each) => this.#mayList(each, now))
    const room = heldRoom(handed.length, this.#memory.taken.length)
    // Those that are listed keep their places.
    const already = new Set(this.#found?.held.map(({ agent }) => agent))
    const ordered = listable.toSorted(
      (a, b) => Number(already.has(prefixOf(b.agent))) - Number(already.has(prefixOf(a.agent))),
    )
    const listed = ordered.slice(0, room)
    const held: Held[] = listed.map(({ agent, term, record, sync }) => ({
      agent: prefixOf(agent),
      term,
      record: prefixOf(record),
      sync: sync === null ? null : prefixOf(sync),
    }))
    const isListed = new Set(held.map(({ agent }) => agent))
    const given: Handed[] = handed
      .map(({ agent, to }) => ({ agent: prefixOf(agent), to: prefixOf(to) }))
      .filter(({ agent }) => isListed.has(agent))
    const blob: LeaseBlob = {
      node: this.#node,
      incarnation: this.#incarnation,
      count: this.#memory.count + 1,
      leaseMs: timing.leaseMs,
      state: { type: state },
      held,
      handed: given,
      taken: this.#memory.taken.filter(({ agent }) => !isListed.has(agent)),
    }
    for (const { agent } of handed) this.#handedOut.add(agent)
    this.#sending = { blob, wanted: listed, timing }
    this.#memory = {
      ...this.#memory,
      count: blob.count,
      incarnation: this.#incarnation,
      released: state === 'released' ? blob.count : this.#memory.released,
      listed: [...new Set([...this.#memory.listed, ...held.map(({ agent }) => agent)])],
    }
    if (this.#won !== null) {
      const keeps = new Set(listed.map(({ agent }) => agent))
      const kept = new Map([...this.#won.held].filter(([agent]) => state === 'renewed' && keeps.has(agent)))
      this.#won = kept.size === 0 ? null : { ...this.#won, held: kept }
    }
    return { blob, leftOut: ordered.slice(room).map(({ agent }) => agent) }
  }

  /** It lies in the register now. `sent`: the moment before the question left (invariant 2). */
  answered(blob: LeaseBlob, sent: Moment): void {
    if (this.#sending?.blob !== blob) return
    const { wanted, timing } = this.#sending
    this.#sending = null
    this.#found = blob
    const listed = blob.held.map(({ agent }) => agent)
    const isHanded = new Set(blob.handed.map(({ agent }) => agent))
    for (const { agent } of wanted) if (!isHanded.has(prefixOf(agent))) this.#handedOut.delete(agent)
    this.#memory = { ...this.#memory, confirmed: blob.count, listed }
    if (blob.state.type === 'released') return void (this.#won = null)
    this.#won = { sent, timing, held: new Map(wanted.map((each) => [each.agent, each])), count: blob.count }
  }

  /** Nobody knows whether it was written: what lies there is to be read before the next. */
  unanswered(): void {
    this.#sending = null
  }

  /** The log holds the records of these takings, or what outdates them. */
  forgetTaken(isKnown: (taken: Taken) => boolean): void {
    const taken = this.#memory.taken.filter((each) => !isKnown(each))
    if (taken.length !== this.#memory.taken.length) this.#memory = { ...this.#memory, taken }
  }

  /** All that is to be leased is listed by writes since `doubt`: nothing rests on what the witness forgot. */
  endDoubt(doubt: number | null): void {
    if (doubt === this.doubt) this.#memory = { ...this.#memory, doubt: null }
  }

  /** Somebody meant to take it again under its very number, and has written only that nobody is to list it. */
  isFenced({ agent, term }: Pick<Wanted, 'agent' | 'term'>): boolean {
    return this.#memory.taken.some((each) => each.agent === prefixOf(agent) && isFence(each) && each.term === term)
  }

  /** Nobody has, and nobody will who read the register before: the next blob may list it. */
  liftFence({ agent, term }: Pick<Wanted, 'agent' | 'term'>): void {
    this.forgetTaken((each) => each.agent === prefixOf(agent) && isFence(each) && each.term === term)
  }

  /** The log says that another node has the agent, or that it is not to be leased any more by this run. */
  drop(agent: AgentId): void {
    if (this.#won?.held.has(agent) !== true) return
    const held = new Map(this.#won.held)
    held.delete(agent)
    this.#won = { ...this.#won, held }
  }

  /** Invariants (1) and (3). */
  #mayList(wanted: Wanted, now: Moment): boolean {
    const { agent, record, settled, term } = wanted
    if (this.isTaken(agent, term)) return false
    const { doubt } = this.#memory
    if (doubt === null || settled) return true
    // Its lease still runs: nobody can have taken it, whatever the witness has forgotten.
    if (this.holds(agent, now)?.record === record && !this.#handedOut.has(agent)) return true
    const found = this.#found
    return found !== null && found.count >= doubt && found.held.some((held) => held.agent === prefixOf(agent))
  }

  #doubt(): void {
    this.#doubts += 1
    this.#memory = { ...this.#memory, doubt: this.#memory.count + 1, confirmed: 0 }
  }

  #learn({ taken, count }: LeaseBlob): void {
    const { taken: known, doubt } = this.#memory
    // Of two records of one number the later one stands there, unless the witness has put back what stood there once.
    const isOfNow = doubt === null || count >= doubt
    const isNews = (each: Taken, old: Taken): boolean =>
      each.term > old.term || (isOfNow && each.term === old.term && each.record !== old.record)
    const news = taken.filter((each) => known.every((old) => old.agent !== each.agent || isNews(each, old)))
    if (news.length === 0) return
    const kept = known.filter((old) => !news.some(({ agent }) => agent === old.agent))
    this.#memory = { ...this.#memory, taken: [...kept, ...news] }
    for (const agent of this.#won?.held.keys() ?? [])
      if (news.some((each) => each.agent === prefixOf(agent))) this.drop(agent)
  }
}

const isFence = ({ record }: Taken): boolean => record === NO_PREFIX

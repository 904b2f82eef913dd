import { equalBytes, toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import {
  type Acceptor,
  type Ballot,
  ballotAbove,
  chosenOf,
  compareBallots,
  EMPTY_ACCEPTOR,
  latestOf,
  MAJORITY,
  openAcceptor,
  sealAcceptor,
} from '@sealmesh/protocol/failover/ballot'
import { type LeaseKey, SHARED_LEASE_BYTES } from '@sealmesh/protocol/failover/lease-blob'
import type { WitnessName } from '@sealmesh/protocol/failover/node-lease'
import { PREFIX_BYTES, type Prefix } from '@sealmesh/protocol/failover/prefix'
import type { SlotId } from '@sealmesh/protocol/ids'
import { NONCE_BYTES } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { hashOfBlob } from '@sealmesh/protocol/wire/slot'
import { setTimeout as pause } from 'node:timers/promises'
import { enough } from './enough.ts'
import type { SlotSeen, SlotWritten, Witness } from './witness.ts'

/** Rounds until somebody else is let through; each one is later than whatever stood in the way of the one before. */
const ROUNDS_MAX = 4
/** Two that get in each other's way wait for something else than each other. */
const STAND_ASIDE_MS = 150

export interface MajorityWitnessDeps {
  readonly parts: readonly [Witness, Witness, Witness]
  /** Their names in the order of the parts, as the mesh's record has them. */
  readonly relays: readonly [string, string, string]
  readonly key: LeaseKey
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly dice: () => number
  /** What it was called when it was asked last: of a relay that has not answered yet nothing else is known. */
  readonly before: WitnessName | null
}

/** One slot of one relay as it was seen last. */
interface Look {
  readonly hash: Uint8Array | null
  /** Null for what no member has sealed: it has no vote, and is written over. */
  readonly acceptor: Acceptor | null
  /** This run put it there, over something that was old enough. */
  readonly isOurs: boolean
}

type Promised =
  | { readonly type: 'promised'; readonly before: Acceptor | null; readonly look: Look }
  | { readonly type: 'passed-over' | 'young' }

/**
 * Three relays of which two decide, each with what a single one can do (docs/spec/12-failover.md §9): a register that
 * is compared and set, that one relay less does not stop, and of which two minorities never make two truths.
 */
export class MajorityWitness implements Witness {
  readonly blobBytes = SHARED_LEASE_BYTES
  readonly #deps: MajorityWitnessDeps
  readonly #by: Prefix
  readonly #generations: string[]
  /** The newest question about each slot: an older one that is still under way writes nothing any more. */
  readonly #newest = new Map<SlotId, symbol>()

  constructor(deps: MajorityWitnessDeps) {
    this.#deps = deps
    this.#by = toHex(deps.random(PREFIX_BYTES)) as Prefix
    const isSame = deps.before?.relays === deps.relays.join()
    this.#generations = (isSame && deps.before?.generation.split('/', 1)[0]?.split(',')) || ['', '', '']
  }

  async read(slot: SlotId): Promise<SlotSeen> {
    const looks = await this.#lookUntil(slot, (some) => this.#chosen(some) !== undefined)
    const chosen = this.#chosen(looks)
    if (chosen !== undefined) return this.#seen(chosen.value)
    // Something is half written: whoever asks ends it, one way or the other.
    const { value } = await this.#decide(slot, looks, 0, (current) => current)
    return this.#seen(value)
  }

  async set(slot: SlotId, expected: Uint8Array | null, blob: Uint8Array, leastAgeMs: number): Promise<SlotWritten> {
    const looks = await this.#lookUntil(slot, (some) => votesIn(some) >= MAJORITY)
    const isExpected = (value: Uint8Array | null) => {
      const hash = this.#hashOf(value)
      return hash === null ? expected === null : expected !== null && equalBytes(hash, expected)
    }
    const { type, value } = await this.#decide(slot, looks, leastAgeMs, (current) =>
      isExpected(current) ? blob : current,
    )
    if (type === 'young') return { ...(await this.read(slot)), result: 'young' }
    return { ...this.#seen(value), result: value === blob ? 'set' : 'differs' }
  }

  /**
   * Asks two relays for a promise, and has them accept what `next` makes of the value that may have been chosen.
   * Rejects where it is not known how that ended.
   */
  async #decide(
    slot: SlotId,
    looks: (Look | undefined)[],
    leastAgeMs: number,
    next: (current: Uint8Array | null) => Uint8Array | null,
  ): Promise<{ readonly type: 'decided' | 'young'; readonly value: Uint8Array | null }> {
    const question = Symbol('question')
    this.#newest.set(slot, question)
    const isStale = () => this.#newest.get(slot) !== question
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const known = looks.flatMap((look) => look?.acceptor?.promised ?? [])
      const ballot = ballotAbove(known, this.#by)
      const answers: (Promised | undefined)[] = []
      const asked = this.#deps.parts.map(async (_, at) => {
        if (looks[at] !== undefined) answers[at] = await this.#promise(at, slot, looks, ballot, leastAgeMs)
      })
      await enough(asked, () => isMajority(answers))
      if (isStale()) break
      if (isMajority(answers)) return { type: 'decided', value: await this.#accept(slot, answers, ballot, next) }
      if (answers.some((answer) => answer?.type === 'young')) return { type: 'young', value: null }
      if (!answers.some((answer) => answer?.type === 'passed-over')) break
      await pause(STAND_ASIDE_MS * this.#deps.dice() * (round + 1))
    }
    throw new Failure('RELAY_UNREACHABLE', 'Two of the three relays that keep leases have not answered.')
  }

  async #accept(
    slot: SlotId,
    answers: readonly (Promised | undefined)[],
    ballot: Ballot,
    next: (current: Uint8Array | null) => Uint8Array | null,
  ): Promise<Uint8Array | null> {
    const votes = answers.flatMap((answer) =>
      answer?.type === 'promised' && answer.before !== null ? [answer.before] : [],
    )
    const latest = latestOf(votes)
    const value = next(latest.value)
    // Two have it as it is to stay.
    const agree = votes.filter(({ accepted }) => compareBallots(accepted, latest.accepted) === 0)
    if (value === latest.value && agree.length >= MAJORITY) return value
    let accepted = 0
    const asked = this.#deps.parts.map(async (_, at) => {
      const answer = answers[at]
      if (answer?.type !== 'promised' || value === null) return
      const said = await this.#put(at, slot, answer.look.hash, { promised: ballot, accepted: ballot, value }, 0)
      if (said.result === 'set') accepted += 1
    })
    await enough(asked, () => accepted >= MAJORITY)
    if (accepted < MAJORITY)
      throw new Failure('RELAY_UNREACHABLE', 'Too few of the relays that keep leases have said that they have it.')
    return value
  }

  /** Until this relay has promised, or says why not. */
  async #promise(
    at: number,
    slot: SlotId,
    looks: (Look | undefined)[],
    ballot: Ballot,
    leastAgeMs: number,
  ): Promise<Promised> {
    for (let tries = 0; tries < ROUNDS_MAX; tries++) {
      const look = looks[at]!
      const before = look.acceptor
      if (before !== null && compareBallots(before.promised, ballot) > 0) return { type: 'passed-over' }
      const promise = { ...(before ?? EMPTY_ACCEPTOR), promised: ballot }
      const said = await this.#put(at, slot, look.hash, promise, look.isOurs ? 0 : leastAgeMs)
      if (said.result === 'young') return { type: 'young' }
      looks[at] = this.#lookOf(at, slot, said, said.result === 'set')
      if (said.result === 'set') return { type: 'promised', before, look: looks[at]! }
    }
    return { type: 'passed-over' }
  }

  #put(
    at: number,
    slot: SlotId,
    hash: Uint8Array | null,
    acceptor: Acceptor,
    leastAgeMs: number,
  ): Promise<SlotWritten> {
    const { parts, key, random, sodium } = this.#deps
    return parts[at]!.set(slot, hash, sealAcceptor(acceptor, slot, key, random(NONCE_BYTES), sodium), leastAgeMs)
  }

  /** At all three; those that answer later are still put in their places. */
  async #lookUntil(slot: SlotId, isEnough: (looks: readonly (Look | undefined)[]) => boolean) {
    const looks: (Look | undefined)[] = []
    const read = this.#deps.parts.map(async (_, at) => (looks[at] = await this.#look(at, slot)))
    await enough(read, () => isEnough(looks))
    return looks
  }

  async #look(at: number, slot: SlotId): Promise<Look> {
    return this.#lookOf(at, slot, await this.#deps.parts[at]!.read(slot), false)
  }

  #lookOf(at: number, slot: SlotId, { hash, blob, witness }: SlotSeen, isOurs: boolean): Look {
    this.#generations[at] = witness.generation
    const { key, sodium } = this.#deps
    const opened = blob === null ? undefined : openAcceptor(blob, slot, key, sodium)
    const acceptor = opened === undefined ? EMPTY_ACCEPTOR : opened.ok ? opened.value : null
    return { hash, acceptor, isOurs }
  }

  #chosen(looks: readonly (Look | undefined)[]): Acceptor | undefined {
    return chosenOf(looks.flatMap((look) => look?.acceptor ?? []))
  }

  #seen(value: Uint8Array | null): SlotSeen {
    const witness = { relays: this.#deps.relays.join(), generation: this.#generations.join() }
    return { hash: this.#hashOf(value), blob: value, witness }
  }

  #hashOf(value: Uint8Array | null): Uint8Array | null {
    return value === null ? null : hashOfBlob(value, this.#deps.sodium)
  }
}

const votesIn = (looks: readonly (Look | undefined)[]): number =>
  looks.filter((look) => look !== undefined && look.acceptor !== null).length

const isMajority = (answers: readonly (Promised | undefined)[]): boolean =>
  answers.filter((answer) => answer?.type === 'promised' && answer.before !== null).length >= MAJORITY

import { equalBytes } from '../bytes.ts'
import { INCARNATION_BYTES } from '../crdt/clock.ts'
import type { IncarnationId, NodeId, RecordHash } from '../ids.ts'
import { type LeaseBlob, NO_PREFIX, type Taken } from './lease-blob.ts'
import type { WitnessName } from './node-lease.ts'
import { type Prefix, prefixOf } from './prefix.ts'
import { quietMs } from './timing.ts'

/**
 * What others write into a node's register: they take agents out of it (docs/spec/12-failover.md §4). Each is a
 * compare-and-set on what was found, so that of two who try one wins, the owner's renewal among them.
 */
export interface Taking {
  readonly blob: LeaseBlob
  /** How long the register must have stood still, by the relay's clock too. */
  readonly leastAgeMs: number
}

/** `from`: the record that the new term follows. */
export type Take = Omit<Taken, 'sync'> & { readonly from: string }

/**
 * Breaks the lease, or adds to a broken one. Undefined unless all of them are held there under exactly these terms'
 * predecessors: `from` names the record that each of them follows.
 */
export function breakLease(found: LeaseBlob, by: NodeId, takes: readonly Take[]): Taking | undefined {
  if (!takes.every((take) => isHeldUnder(found, take))) return undefined
  const gone = new Set(takes.map(({ agent }) => agent))
  const blob: LeaseBlob = {
    ...found,
    state: found.state.type === 'broken' ? found.state : { type: 'broken', by },
    held: found.held.filter(({ agent }) => !gone.has(agent)),
    handed: found.handed.filter(({ agent }) => !gone.has(agent)),
    taken: [
      ...found.taken.filter(({ agent }) => !gone.has(agent)),
      ...takes.map((take) => entryOf(take, syncIn(found, take))),
    ],
  }
  // Of a broken or a released lease nobody counts on anything any more.
  return { blob, leastAgeMs: found.state.type === 'renewed' ? quietMs(found.leaseMs) : 0 }
}

/** Takes what its holder hands to `by`: the owner's lease of everything else goes on. */
export function acceptHanded(found: LeaseBlob, by: NodeId, take: Take): Taking | undefined {
  const isForMe = found.handed.some(({ agent, to }) => agent === take.agent && to === prefixOf(by))
  if (!isForMe || !isHeldUnder(found, take)) return undefined
  const { blob } = breakLease(found, by, [take])!
  return { blob: { ...blob, state: found.state }, leastAgeMs: 0 }
}

/**
 * Takes what its holder by the log does not list. That it holds no lease of it is so at once; it may be about to claim
 * one, and is given the time of a lease for it.
 */
export function takeUnlisted(found: LeaseBlob, by: NodeId, take: Take): Taking | undefined {
  const isNamed = (each: { readonly agent: Prefix }): boolean => each.agent === take.agent
  if (found.held.some(isNamed) || found.taken.some((each) => isNamed(each) && each.term >= take.term)) return undefined
  const taken = [...found.taken.filter((each) => !isNamed(each)), entryOf(take, null)]
  const state = found.state.type === 'broken' ? found.state : ({ type: 'broken', by } as const)
  return { blob: { ...found, state, taken }, leastAgeMs: found.state.type === 'renewed' ? quietMs(found.leaseMs) : 0 }
}

/**
 * Takes the same number again: whoever is named there took it and has told nobody. Before this `fenceTaker` has to have
 * come through at that node's own register. The owner's lease of everything else goes on.
 */
export function takeAgain(found: LeaseBlob, take: Take, instead: Taken): Taking | undefined {
  const named = found.taken.find(({ agent }) => agent === take.agent)
  if (named === undefined || named.record !== instead.record || named.term > take.term) return undefined
  const others = found.taken.filter((each) => each !== named)
  return { blob: { ...found, taken: [...others, entryOf(take, named.sync)] }, leastAgeMs: 0 }
}

/**
 * Into the register of somebody who took an agent: it is not his under that number. What a register does not list its
 * owner holds no lease of, so that only what it does list has to have stood still. `found`: null for nothing there.
 * `done` when nothing has to be written.
 */
export function fenceTaker(
  found: LeaseBlob | null,
  taker: NodeId,
  by: NodeId,
  { agent, term }: Pick<Taken, 'agent' | 'term'>,
  leaseMs: number,
): Taking | 'done' {
  const entry: Taken = { agent, term, record: NO_PREFIX, holder: prefixOf(by), sync: null }
  if (found === null) {
    const incarnation = '0'.repeat(2 * INCARNATION_BYTES) as IncarnationId
    const state = { type: 'broken', by } as const
    const blob = { node: taker, incarnation, count: 0, leaseMs, state, held: [], handed: [], taken: [entry] }
    return { blob, leastAgeMs: 0 }
  }
  // A fence that stands already is written anew: its taker may be about to lift the one that he has seen.
  if (found.taken.some((each) => each.agent === agent && each.term >= term && each.record !== NO_PREFIX)) return 'done'
  const isHeld = found.held.some((each) => each.agent === agent)
  const blob: LeaseBlob = {
    ...found,
    state: isHeld && found.state.type !== 'broken' ? { type: 'broken', by } : found.state,
    held: found.held.filter((each) => each.agent !== agent),
    handed: found.handed.filter((each) => each.agent !== agent),
    taken: [...found.taken.filter((each) => each.agent !== agent), entry],
  }
  return { blob, leastAgeMs: isHeld && found.state.type === 'renewed' ? quietMs(found.leaseMs) : 0 }
}

const isHeldUnder = (found: LeaseBlob, take: Take): boolean =>
  found.held.some(
    ({ agent, record, term }) => agent === take.agent && record === prefixOf(take.from) && term < take.term,
  )

const syncIn = (found: LeaseBlob, take: Take): Prefix | null =>
  found.held.find(({ agent }) => agent === take.agent)?.sync ?? null

const entryOf = ({ agent, term, record, holder }: Take, sync: Prefix | null): Taken => ({
  agent,
  term,
  record,
  holder,
  sync,
})

/** A taking whose answer never came: its record is in no log yet. */
export interface Draft {
  readonly record: RecordHash
  readonly term: number
  /** Hash of what it was to replace, and who was asked. */
  readonly expected: Uint8Array
  readonly witness: WitnessName
}

/**
 * What became of it, after a look at the register that was asked for later. `open` while what it was to replace still
 * lies there: the question may be on its way. Once something else does it can never succeed any more, unless the
 * witness has forgotten: the owner may have read of it before, and write it again.
 */
export function fateOf(
  draft: Draft,
  read: { readonly hash: Uint8Array | null; readonly blob: LeaseBlob | null; readonly witness: WitnessName },
): 'taken' | 'open' | 'void' {
  if (read.blob?.taken.some(({ record }) => record === prefixOf(draft.record)) === true) return 'taken'
  const { relays, generation } = draft.witness
  if (read.witness.relays !== relays || read.witness.generation !== generation) return 'open'
  return read.hash !== null && equalBytes(read.hash, draft.expected) ? 'open' : 'void'
}

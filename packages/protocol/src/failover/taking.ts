import { equalBytes } from '../bytes.ts'
import type { NodeId, RecordHash } from '../ids.ts'
import type { LeaseBlob, Taken } from './lease-blob.ts'
import type { WitnessName } from './node-lease.ts'
import { prefixOf } from './prefix.ts'
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

/**
 * Breaks the lease, or adds to a broken one. Undefined unless all of them are held there under exactly these terms'
 * predecessors: `from` names the record that each of them follows.
 */
export function breakLease(
  found: LeaseBlob,
  by: NodeId,
  takes: readonly (Taken & { readonly from: string })[],
): Taking | undefined {
  if (!takes.every((take) => isHeldUnder(found, take))) return undefined
  const gone = new Set(takes.map(({ agent }) => agent))
  const blob: LeaseBlob = {
    ...found,
    state: found.state.type === 'broken' ? found.state : { type: 'broken', by },
    held: found.held.filter(({ agent }) => !gone.has(agent)),
    handed: found.handed.filter(({ agent }) => !gone.has(agent)),
    taken: [...found.taken.filter(({ agent }) => !gone.has(agent)), ...takes.map(entryOf)],
  }
  // Of a broken or a released lease nobody counts on anything any more.
  return { blob, leastAgeMs: found.state.type === 'renewed' ? quietMs(found.leaseMs) : 0 }
}

/** Takes what its holder hands to `by`: the owner's lease of everything else goes on. */
export function acceptHanded(
  found: LeaseBlob,
  by: NodeId,
  take: Taken & { readonly from: string },
): Taking | undefined {
  const isForMe = found.handed.some(({ agent, to }) => agent === take.agent && to === prefixOf(by))
  if (!isForMe || !isHeldUnder(found, take)) return undefined
  const { blob } = breakLease(found, by, [take])!
  return { blob: { ...blob, state: found.state }, leastAgeMs: 0 }
}

const isHeldUnder = (found: LeaseBlob, take: Taken & { readonly from: string }): boolean =>
  found.held.some(
    ({ agent, record, term }) => agent === take.agent && record === prefixOf(take.from) && term < take.term,
  )

const entryOf = ({ agent, term, record, holder }: Taken): Taken => ({ agent, term, record, holder })

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

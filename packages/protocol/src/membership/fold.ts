import type { MeshId, NodeId, RecordHash } from '../ids.ts'
import { LOG_HEADS_MAX } from '../limits.ts'
import type { Sodium } from '../sodium.ts'
import { gatherMesh } from './gather.ts'
import { type Entry, isBefore, Ledger, listIn, type VerifyRecord } from './ledger.ts'
import type { Mesh, VoidReason } from './mesh.ts'
import type { SignedRecord } from './record.ts'
import {
  type Circumstances,
  delegatedTerm,
  type EntryOf,
  faultOf,
  identityFault,
  is,
  isChained,
  Tally,
} from './rules.ts'

/**
 * The fold of the membership log: the same records, the same mesh, in any order of arrival
 * (docs/spec/02-membership.md §5 to §9). Invariants, cited where they are kept:
 *
 * (1) Which revokes stand depends on their causal pasts alone, so that no later word can bring a removed node back.
 * (2) A record of a removed node counts only inside the past of every revoke that names it; a standing revoke always.
 * (3) A record counts only through records in its past that count: what rests on a void one falls with it.
 * (4) What is void counts for nothing in either direction: it neither allows nor forbids.
 */
export function foldMesh(id: MeshId, records: Iterable<SignedRecord>, verify: VerifyRecord, sodium: Sodium): Mesh {
  const ledger = new Ledger(id, sodium)
  const missing = enterAll(ledger, records, verify)
  return foldLedger(ledger, missing, sodium)
}

/** Enters what can enter, parents first; answers the parents that have not arrived. */
export function enterAll(ledger: Ledger, records: Iterable<SignedRecord>, verify: VerifyRecord): Set<RecordHash> {
  const waiting = new Map<RecordHash, SignedRecord>()
  const followers = new Map<RecordHash, RecordHash[]>()
  const refused = new Set<RecordHash>()
  for (const record of records) {
    if (record.mesh !== ledger.mesh) continue
    const ready = [record]
    for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
      if (ledger.get(next.hash) !== undefined || refused.has(next.hash)) continue
      const absent = next.parents.filter((parent) => ledger.get(parent) === undefined)
      const doomed = absent.some((parent) => refused.has(parent))
      if (absent.length > 0 && !doomed) {
        waiting.set(next.hash, next)
        for (const parent of absent) listIn(followers, parent).push(next.hash)
        continue
      }
      waiting.delete(next.hash)
      if (doomed || ledger.enter(next, verify) === undefined) refused.add(next.hash)
      for (const hash of followers.get(next.hash) ?? []) {
        const follower = waiting.get(hash)
        if (follower !== undefined) ready.push(follower)
      }
      followers.delete(next.hash)
    }
  }
  const missing = new Set<RecordHash>()
  for (const { parents } of waiting.values())
    for (const parent of parents) if (ledger.get(parent) === undefined && !waiting.has(parent)) missing.add(parent)
  return missing
}

export function foldLedger(ledger: Ledger, missing: Iterable<RecordHash>, sodium: Sodium): Mesh {
  const { entries } = ledger
  const chained = chainedAssigns(ledger)
  const government = govern(entries, chained)

  // First as if no term had passed, to learn the terms; then without what they have overtaken, which may leave other
  // terms: a record that was once overtaken stays so, so that two that overtake each other do not take turns (§9).
  const passed = new Set<Entry>()
  let outcome = count(entries, government, chained, passed)
  for (let round = 1; round < ROUNDS_MAX && addPassed(passed, outcome); round++)
    outcome = count(entries, government, chained, passed)

  return gatherMesh({
    ledger,
    tally: outcome.tally,
    voided: outcome.voided,
    revokes: government.revokes,
    heads: headsOf(ledger, outcome.voided),
    missing: [...missing].toSorted(),
    sodium,
  })
}

/** Two do for every honest log. More than these only a holder that forks its own words needs: its loss. */
const ROUNDS_MAX = 8

/** Pass 1: who may govern, by causal pasts alone. */
interface Government {
  readonly revokes: ReadonlyMap<NodeId, readonly Entry[]>
  /** Of revokes that do not stand. */
  readonly faults: ReadonlyMap<Entry, VoidReason>
}

function govern(entries: readonly Entry[], chained: ReadonlySet<Entry>): Government {
  const tally = new Tally()
  const revokes = new Map<NodeId, Entry[]>()
  const faults = new Map<Entry, VoidReason>()
  const around: Circumstances = { tally, revokes, chained }
  for (const entry of entries) {
    if (!is(entry, 'found') && !is(entry, 'admit') && !is(entry, 'revoke')) continue
    const fault = faultOf(entry, around)
    if (!is(entry, 'revoke')) {
      if (fault === null) tally.add(entry)
    } else if (fault === null) listIn(revokes, entry.record.body.node).push(entry)
    else faults.set(entry, fault)
  }
  return { revokes, faults }
}

/** Pass 2: what counts, given every revoke that stands, wherever it lies. */
interface Outcome {
  readonly tally: Tally
  readonly voided: ReadonlyMap<RecordHash, VoidReason>
  /** Counting records that were signed under delegation, with their terms. */
  readonly delegated: readonly { readonly entry: Entry; readonly term: number }[]
}

function count(
  entries: readonly Entry[],
  { revokes, faults }: Government,
  chained: ReadonlySet<Entry>,
  passed: ReadonlySet<Entry>,
): Outcome {
  const tally = new Tally()
  const voided = new Map<RecordHash, VoidReason>()
  const delegated: { entry: Entry; term: number }[] = []
  const around: Circumstances = { tally, revokes, chained }
  for (const entry of entries) {
    const fault = is(entry, 'revoke')
      ? (faults.get(entry) ?? null) // (1)
      : (outsideFault(entry, revokes, passed) ??
        faultOf(entry, around) ??
        (is(entry, 'admit') ? identityFault(entry, around) : null))
    if (fault !== null) {
      voided.set(entry.record.hash, fault) // (3), (4): it enters no tally.
      continue
    }
    const term = delegatedTerm(entry, around)
    if (term !== undefined) delegated.push({ entry, term })
    tally.add(entry)
  }
  return { tally, voided, delegated }
}

/** What voids a record from outside its causal past. */
function outsideFault(
  entry: Entry,
  revokes: ReadonlyMap<NodeId, readonly Entry[]>,
  passed: ReadonlySet<Entry>,
): VoidReason | null {
  const { signer } = entry.record
  const against = signer.type === 'node' ? revokes.get(signer.node) : undefined
  if (against?.some((revoke) => !isBefore(entry, revoke))) return 'SIGNER_REVOKED' // (2)
  return passed.has(entry) ? 'TERM_PASSED' : null
}

/** Whether there were any new ones. */
function addPassed(passed: Set<Entry>, { tally, delegated }: Outcome): boolean {
  const before = passed.size
  for (const { entry, term } of delegated) {
    const { body } = entry.record
    const assigns = 'agent' in body ? (tally.assigns.get(body.agent) ?? []) : []
    if (assigns.some((assign) => assign.record.body.term > term && !isBefore(entry, assign))) passed.add(entry)
  }
  return passed.size > before
}

/** Numbers that follow on from 1, whether or not each assign counts, so that nobody can use them all up at once. */
function chainedAssigns(ledger: Ledger): Set<Entry> {
  const chained = new Set<Entry>()
  for (const entry of ledger.entries) {
    if (!is(entry, 'assign')) continue
    const { previous } = (entry as EntryOf<'assign'>).record.body
    if (isChained(entry, previous === null ? undefined : ledger.get(previous), chained)) chained.add(entry)
  }
  return chained
}

/**
 * A record, a block and a packet have room for so many heads. Those that count go first: a member that grows void
 * branches may not keep the others' words from being followed.
 */
function headsOf(ledger: Ledger, voided: ReadonlyMap<RecordHash, VoidReason>): RecordHash[] {
  const tips = [...ledger.tips].toSorted()
  if (tips.length <= LOG_HEADS_MAX) return tips
  const counting = tips.filter((hash) => !voided.has(hash))
  return [...counting, ...tips.filter((hash) => voided.has(hash))].slice(0, LOG_HEADS_MAX).toSorted()
}

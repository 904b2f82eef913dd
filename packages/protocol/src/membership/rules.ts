import { equalBytes } from '../bytes.ts'
import type { AgentId, NodeId } from '../ids.ts'
import { type Entry, isBefore, latestOf, listIn } from './ledger.ts'
import type { VoidReason } from './mesh.ts'
import type { RecordBody, RecordType } from './record.ts'

/**
 * What each kind of record needs so that it counts (docs/spec/02-membership.md §6 to §8). Every question is asked of
 * the record's own causal past, and there of records that count; the fold (fold.ts) decides in which passes.
 */

export type EntryOf<Type extends RecordType> = Entry & {
  readonly record: { readonly body: Extract<RecordBody, { type: Type }> }
}

/** The records that count so far, by what they speak of. Lists are in ascending position. */
export class Tally {
  readonly founds: EntryOf<'found'>[] = []
  readonly admissions = new Map<NodeId, EntryOf<'found' | 'admit'>[]>()
  readonly hosts = new Map<AgentId, EntryOf<'host'>[]>()
  /** By host record: the nodes that were hosts just before it and that it does not name. */
  readonly dropped = new Map<Entry, readonly NodeId[]>()
  readonly assigns = new Map<AgentId, EntryOf<'assign'>[]>()
  readonly grants = new Map<AgentId, EntryOf<'grant'>[]>()
  readonly ungrants = new Map<AgentId, EntryOf<'ungrant'>[]>()
  readonly prekeys = new Map<NodeId, EntryOf<'prekey'>[]>()
  readonly lapses = new Map<NodeId, EntryOf<'lapse'>[]>()
  readonly relays: EntryOf<'relay'>[] = []
  readonly recoveries: EntryOf<'recovery'>[] = []
  readonly renames = new Map<NodeId, EntryOf<'rename'>[]>()
  readonly checkpoints: EntryOf<'checkpoint'>[] = []
  readonly witnesses: EntryOf<'witness'>[] = []
  readonly failovers = new Map<AgentId, EntryOf<'failover'>[]>()
  readonly syncs = new Map<AgentId, EntryOf<'sync'>[]>()

  add(entry: Entry): void {
    if (is(entry, 'found')) this.founds.push(entry)
    if (is(entry, 'found') || is(entry, 'admit')) listIn(this.admissions, entry.admits as NodeId).push(entry)
    if (is(entry, 'host')) {
      const { agent, nodes } = entry.record.body
      const before = hostsOf(agent, this, entry)
      this.dropped.set(
        entry,
        before.filter((node) => !nodes.includes(node)),
      )
      listIn(this.hosts, agent).push(entry)
    }
    if (is(entry, 'assign')) listIn(this.assigns, entry.record.body.agent).push(entry)
    if (is(entry, 'grant')) listIn(this.grants, entry.record.body.agent).push(entry)
    if (is(entry, 'ungrant')) listIn(this.ungrants, entry.record.body.agent).push(entry)
    if (is(entry, 'prekey')) listIn(this.prekeys, entry.record.body.node).push(entry)
    if (is(entry, 'lapse')) listIn(this.lapses, entry.record.body.node).push(entry)
    if (is(entry, 'relay')) this.relays.push(entry)
    if (is(entry, 'recovery')) this.recoveries.push(entry)
    if (is(entry, 'rename')) listIn(this.renames, entry.record.body.node).push(entry)
    if (is(entry, 'checkpoint')) this.checkpoints.push(entry)
    if (is(entry, 'witness')) this.witnesses.push(entry)
    if (is(entry, 'failover')) listIn(this.failovers, entry.record.body.agent).push(entry)
    if (is(entry, 'sync')) listIn(this.syncs, entry.record.body.agent).push(entry)
  }
}

export const is = <Type extends RecordType>(entry: Entry, type: Type): entry is EntryOf<Type> =>
  entry.record.body.type === type

/** What is known besides the tally. */
export interface Circumstances {
  readonly tally: Tally
  /** Revokes that stand, by the node that they name. */
  readonly revokes: ReadonlyMap<NodeId, readonly Entry[]>
  /** Assigns whose numbers follow on from the first, counting or not: §8. */
  readonly chained: ReadonlySet<Entry>
}

/** Why the record does not count, or null when it does. */
export function faultOf(entry: Entry, around: Circumstances): VoidReason | null {
  const { signer, body } = entry.record
  const standing = signer.type === 'node' ? standingOf(signer.node, entry, around) : null
  if (standing?.fault) return standing.fault
  const governs = signer.type === 'root' || standing?.admin === true

  switch (body.type) {
    case 'found':
      return signer.type === 'root' ? null : 'SIGNER_NOT_ALLOWED'
    case 'admit':
      if (!governs) return 'SIGNER_NOT_ALLOWED'
      return revokesBefore(entry.admits as NodeId, entry, around) ? 'SUBJECT_REVOKED' : null
    case 'relay':
    case 'checkpoint':
    case 'witness':
      return governs ? null : 'SIGNER_NOT_ALLOWED'
    case 'revoke':
    case 'lapse':
      if (!governs) return 'SIGNER_NOT_ALLOWED'
      return admissionsBefore(body.node, entry, around).length > 0 ? null : 'SUBJECT_UNKNOWN'
    case 'recovery':
      return signer.type === 'root' ? null : 'SIGNER_NOT_ALLOWED'
    case 'rename':
      if (!governs && !(signer.type === 'node' && signer.node === body.node)) return 'SIGNER_NOT_ALLOWED'
      return admissionsBefore(body.node, entry, around).length > 0 ? null : 'SUBJECT_UNKNOWN'
    case 'prekey':
      return signer.type === 'node' && signer.node === body.node ? null : 'SIGNER_NOT_ALLOWED'
    case 'host':
      return speaksFor(body.agent, entry, around)
    case 'grant':
    case 'failover':
      if (latestHosts(body.agent, entry, around).length === 0) return 'SUBJECT_UNKNOWN'
      return speaksFor(body.agent, entry, around)
    case 'ungrant': {
      const grants = around.tally.grants.get(body.agent) ?? []
      const known = grants.some((grant) => grant.record.hash === body.grant && isBefore(grant, entry))
      return known ? speaksFor(body.agent, entry, around) : 'SUBJECT_UNKNOWN'
    }
    case 'assign':
      return assignFault(entry as EntryOf<'assign'>, around)
    case 'sync': {
      const terms = around.tally.assigns.get(body.agent) ?? []
      const term = terms.find(({ record }) => record.hash === body.term)
      if (term === undefined || !isBefore(term, entry)) return 'SUBJECT_UNKNOWN'
      const { holder } = term.record.body
      const says = signer.type === 'node' && signer.node === holder && body.members.includes(holder)
      return says ? null : 'SIGNER_NOT_ALLOWED'
    }
  }
}

/**
 * Admitting again is how a member becomes an admin, and how it stays when the one who had let it in is removed; not how
 * its packets are led elsewhere. Asked in the last pass only: who governs does not depend on names and login keys.
 */
export function identityFault(entry: EntryOf<'admit'>, around: Circumstances): VoidReason | null {
  const { name, loginKey } = entry.record.body.node
  const same = admissionsBefore(entry.admits as NodeId, entry, around).every(({ record }) => {
    const known = record.body.node
    return known.name === name && equalBytes(known.loginKey, loginKey)
  })
  return same ? null : 'SUBJECT_TAKEN'
}

/** The term that a record rests on when its signer speaks for an agent as the holder of its term. */
export function delegatedTerm(entry: Entry, around: Circumstances): number | undefined {
  const { signer, body } = entry.record
  if (signer.type !== 'node') return undefined
  if (!DELEGATED.has(body.type)) return undefined
  return highestTerms((body as Delegated).agent, entry, around)[0]?.record.body.term
}

/** What a holder may sign in its agent's name. */
type Delegated = Extract<RecordBody, { type: 'host' | 'grant' | 'ungrant' | 'failover' }>
const DELEGATED: ReadonlySet<RecordType> = new Set<Delegated['type']>(['host', 'grant', 'ungrant', 'failover'])

/** An assign is chained when its number is one more than that of the chained assign that it follows. */
export function isChained(entry: EntryOf<'assign'>, previous: Entry | undefined, chained: ReadonlySet<Entry>): boolean {
  const { body } = entry.record
  if (body.previous === null) return body.term === 1
  if (previous === undefined || !is(previous, 'assign') || !chained.has(previous)) return false
  const follows = previous.record.body
  return isBefore(previous, entry) && follows.agent === body.agent && follows.term + 1 === body.term
}

/**
 * The nodes that host records leave an agent with, just before `within` or at the end: what any of the latest names,
 * unless a record dropped it and none that names it follows that one. Two people who edit the list on two sides of a
 * cut keep both additions, and a removal wins. In standby order of the newest, then what only the others name.
 */
export function hostsOf(agent: AgentId, tally: Tally, within?: Entry): NodeId[] {
  const all = tally.hosts.get(agent) ?? []
  const latest = (latestOf(all, within) as EntryOf<'host'>[]).toSorted(byTime)
  const names = new Set(latest.flatMap(({ record }) => record.body.nodes))
  if (latest.length < 2) return [...names]
  const seen = within === undefined ? all : all.filter((entry) => isBefore(entry, within))
  return [...names].filter(
    (node) =>
      !seen.some(
        (drop) =>
          tally.dropped.get(drop)?.includes(node) &&
          !seen.some((later) => later.record.body.nodes.includes(node) && isBefore(drop, later)),
      ),
  )
}

/** The newest first: by the signer's clock, since none of them knew of another. */
export const byTime = (a: Entry, b: Entry): number =>
  b.record.timeMs - a.record.timeMs || (a.record.hash < b.record.hash ? 1 : -1)

function standingOf(node: NodeId, at: Entry, around: Circumstances): { admin: boolean; fault?: VoidReason } {
  const admissions = admissionsBefore(node, at, around)
  const admin = admissions.some(({ record }) => record.body.type === 'found' || record.body.admin)
  if (revokesBefore(node, at, around)) return { admin, fault: 'SIGNER_REVOKED' }
  return admissions.length === 0 ? { admin, fault: 'SIGNER_UNKNOWN' } : { admin }
}

const revokesBefore = (node: NodeId, at: Entry, { revokes }: Circumstances): boolean =>
  revokes.get(node)?.some((revoke) => isBefore(revoke, at)) === true

const admissionsBefore = (node: NodeId, at: Entry, { tally }: Circumstances): EntryOf<'found' | 'admit'>[] =>
  (tally.admissions.get(node) ?? []).filter((admission) => isBefore(admission, at))

const latestHosts = (agent: AgentId, at: Entry, { tally }: Circumstances): EntryOf<'host'>[] =>
  latestOf(tally.hosts.get(agent) ?? [], at) as EntryOf<'host'>[]

/** Several only after two assigns of one number. */
function highestTerms(agent: AgentId, at: Entry, { tally }: Circumstances): EntryOf<'assign'>[] {
  // An assign that counts is above every one in its past, so that the highest are among the latest.
  const latest = latestOf(tally.assigns.get(agent) ?? [], at) as EntryOf<'assign'>[]
  const highest = Math.max(0, ...latest.map(({ record }) => record.body.term))
  return latest.filter(({ record }) => record.body.term === highest)
}

/** The agent's own key always; else the holder of its term, when the agent has delegated and the holder is a host. */
function speaksFor(agent: AgentId, entry: Entry, around: Circumstances): VoidReason | null {
  const { signer } = entry.record
  switch (signer.type) {
    case 'root':
      return 'SIGNER_NOT_ALLOWED'
    case 'agent':
      return signer.agent === agent ? null : 'SIGNER_NOT_ALLOWED'
    case 'node': {
      const newest = latestHosts(agent, entry, around).toSorted(byTime)[0]
      if (newest === undefined) return 'SUBJECT_UNKNOWN'
      const holds = highestTerms(agent, entry, around).some(({ record }) => record.body.holder === signer.node)
      if (!newest.record.body.delegate || !holds) return 'SIGNER_NOT_ALLOWED'
      return hostsOf(agent, around.tally, entry).includes(signer.node) ? null : 'NOT_A_HOST'
    }
  }
}

function assignFault(entry: EntryOf<'assign'>, around: Circumstances): VoidReason | null {
  const { signer, body } = entry.record
  if (signer.type !== 'node' || signer.node !== body.holder) return 'SIGNER_NOT_ALLOWED'
  if (latestHosts(body.agent, entry, around).length === 0) return 'SUBJECT_UNKNOWN'
  if (!hostsOf(body.agent, around.tally, entry).includes(body.holder)) return 'NOT_A_HOST'
  const highest = highestTerms(body.agent, entry, around)[0]?.record.body.term ?? 0
  return around.chained.has(entry) && body.term > highest ? null : 'TERM_NOT_HIGHER'
}

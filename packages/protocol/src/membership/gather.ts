import { compareText, fromHex } from '../bytes.ts'
import type { AgentId, NodeId, RecordHash } from '../ids.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { type Entry, isBefore, type Ledger, latestOf } from './ledger.ts'
import type { Ending, Grant, Hosting, Mesh, MeshAgent, MeshNode, Prekey, Recovery, Term, VoidReason } from './mesh.ts'
import type { SignedRecord } from './record.ts'
import { byTime, type EntryOf, hostsOf, is, type Tally } from './rules.ts'

export interface Counted {
  readonly ledger: Ledger
  readonly tally: Tally
  readonly voided: ReadonlyMap<RecordHash, VoidReason>
  readonly revokes: ReadonlyMap<NodeId, readonly Entry[]>
  readonly heads: readonly RecordHash[]
  readonly missing: readonly RecordHash[]
  readonly sodium: Sodium
}

/**
 * The mesh that the counting records describe (docs/spec/02-membership.md §10). Every choice among several is by
 * content (time, then hash), every list in a canonical order: positions in the ledger differ from node to node.
 */
export function gatherMesh(counted: Counted): Mesh {
  const { ledger, tally, heads, missing, voided } = counted
  const records = new Map<RecordHash, SignedRecord>(ledger.entries.map(({ record }) => [record.hash, record]))
  const nodes = new Map<NodeId, MeshNode>()
  for (const id of [...tally.admissions.keys()].toSorted()) nodes.set(id, gatherNode(id, counted))
  const agents = new Map<AgentId, MeshAgent>()
  for (const id of [...tally.hosts.keys()].toSorted()) agents.set(id, gatherAgent(id, tally, nodes))

  return {
    id: ledger.mesh,
    name: firstByHash(tally.founds)?.record.body.meshName ?? '',
    heads,
    records,
    missing,
    voided,
    nodes,
    agents,
    relays: (latestOf(tally.relays) as EntryOf<'relay'>[]).toSorted(byTime)[0]?.record.body.relays ?? [],
    recovery: recoveryOf(tally),
    checkpoint: checkpointIn(tally),
    witness: witnessIn(tally),
    epoch: epochOf(counted),
    isInPast(ancestor, of) {
      const [earlier, later] = [ledger.get(ancestor), ledger.get(of)]
      if (earlier === undefined || later === undefined) return false
      return earlier === later || isBefore(earlier, later)
    },
  }
}

function gatherNode(id: NodeId, { tally, revokes }: Counted): MeshNode {
  const admissions = tally.admissions.get(id) ?? []
  const { record } = firstByHash(admissions) as EntryOf<'found' | 'admit'>
  const prekeys = (tally.prekeys.get(id) ?? [])
    .map(({ record: { body, hash } }): Prekey => {
      const { publicKey, notBeforeMs, expiresMs, mailboxes } = body
      return { publicKey, notBeforeMs, expiresMs, mailboxes, record: hash }
    })
    .toSorted((a, b) => b.notBeforeMs - a.notBeforeMs || compareText(a.record, b.record))
  const lapses = tally.lapses.get(id) ?? []
  return {
    ...record.body.node,
    name: nameOf(id, tally) ?? record.body.node.name,
    id,
    admin: admissions.some((each) => each.record.body.type === 'found' || each.record.body.admin),
    admittedBy: record.hash,
    revocations: (revokes.get(id) ?? [])
      .flatMap((entry) => (is(entry, 'revoke') ? [{ record: entry.record.hash, cuts: entry.record.body.cuts }] : []))
      .toSorted(byRecord),
    lapses: lapses.map((each) => ({ record: each.record.hash, cuts: each.record.body.cuts })).toSorted(byRecord),
    lapsed: lapses.some((lapse) => !(tally.prekeys.get(id) ?? []).some((prekey) => isBefore(lapse, prekey))),
    prekeys,
  }
}

function gatherAgent(id: AgentId, tally: Tally, nodes: ReadonlyMap<NodeId, MeshNode>): MeshAgent {
  const hosts = tally.hosts.get(id) ?? []
  const latest = (latestOf(hosts) as EntryOf<'host'>[]).toSorted(byTime)
  const { name, delegate } = (latest[0] as EntryOf<'host'>).record.body
  const terms = (tally.assigns.get(id) ?? [])
    .map(({ record: { body, hash, timeMs } }): Term => {
      const { term, holder, previous, reason, basis } = body
      return { number: term, holder, record: hash, previous, reason, timeMs, basis }
    })
    .toSorted((a, b) => a.number - b.number || byRecord(a, b))
  return {
    id,
    name,
    delegate,
    hosts: hostsOf(id, tally).filter((node) => nodes.get(node)?.revocations.length === 0),
    hostings: hosts.map((entry) => hostingOf(entry, tally)).toSorted(byRecord),
    terms,
    term: terms.at(-1) ?? null,
    grants: (tally.grants.get(id) ?? []).map((grant) => grantOf(grant, tally)).toSorted(byRecord),
    failover: failoverOf(tally.failovers.get(id) ?? []),
    syncSet: syncSetOf(tally.syncs.get(id) ?? [], terms.at(-1) ?? null),
  }
}

function hostingOf(entry: EntryOf<'host'>, tally: Tally): Hosting {
  const { nodes, cuts } = entry.record.body
  const removed = (tally.dropped.get(entry) ?? [])
    .map((node) => ({ node, cuts: cuts.find((each) => each.node === node)?.cuts ?? [] }))
    .toSorted((a, b) => compareText(a.node, b.node))
  return { record: entry.record.hash, nodes, removed }
}

function grantOf({ record: { body, hash } }: EntryOf<'grant'>, tally: Tally): Grant {
  const endings = (tally.ungrants.get(body.agent) ?? [])
    .filter(({ record }) => record.body.grant === hash)
    .map(({ record }): Ending => ({ record: record.hash, cuts: record.body.cuts }))
    .toSorted(byRecord)
  return { record: hash, layer: body.layer, to: body.to, access: body.access, ended: endings[0] ?? null, endings }
}

/** As relays: of the latest records the newest. */
function recoveryOf(tally: Tally): Recovery | null {
  const newest = (latestOf(tally.recoveries) as EntryOf<'recovery'>[]).toSorted(byTime)[0]
  if (newest === undefined) return null
  const { loginKey, sealKey, mailbox } = newest.record.body
  return { loginKey, sealKey, mailbox }
}

/** Likewise. */
function checkpointIn(tally: Tally): Mesh['checkpoint'] {
  const newest = latestOf(tally.checkpoints).toSorted(byTime)[0]
  return newest === undefined ? null : { record: newest.record.hash, signer: newest.record.signer }
}

function witnessIn(tally: Tally): Mesh['witness'] {
  const newest = (latestOf(tally.witnesses) as EntryOf<'witness'>[]).toSorted(byTime)[0]
  if (newest === undefined) return null
  const { relays, profile } = newest.record.body
  return { record: newest.record.hash, relays, profile }
}

function failoverOf(records: readonly EntryOf<'failover'>[]): MeshAgent['failover'] {
  const newest = (latestOf(records) as EntryOf<'failover'>[]).toSorted(byTime)[0]
  if (newest === undefined) return { record: null, mode: 'manual', durability: 'available' }
  const { mode, durability } = newest.record.body
  return { record: newest.record.hash, mode, durability }
}

/** Of the present term alone: its holder signs one after another. */
function syncSetOf(records: readonly EntryOf<'sync'>[], term: Term | null): MeshAgent['syncSet'] {
  const own = records.filter(({ record }) => record.body.term === term?.record)
  const newest = (latestOf(own) as EntryOf<'sync'>[]).toSorted(byTime)[0]
  return newest === undefined ? null : { record: newest.record.hash, members: newest.record.body.members }
}

const nameOf = (id: NodeId, tally: Tally): string | undefined =>
  (latestOf(tally.renames.get(id) ?? []) as EntryOf<'rename'>[]).toSorted(byTime)[0]?.record.body.name

/** Content keys are erased when the set of revocations grows, whoever signed them and in whatever order they came. */
function epochOf({ revokes, sodium }: Counted): Uint8Array {
  const hashes = [...revokes.values()].flat().map(({ record }) => record.hash)
  return sodium.hash([TAGS.epoch, ...hashes.toSorted().map(fromHex)])
}

const byRecord = (a: { readonly record: RecordHash }, b: { readonly record: RecordHash }): number =>
  compareText(a.record, b.record)

const firstByHash = <E extends Entry>(entries: readonly E[]): E | undefined =>
  entries.toSorted((a, b) => compareText(a.record.hash, b.record.hash))[0]

import { equalBytes } from '@sealmesh/protocol/bytes'
import { isSameVector } from '@sealmesh/protocol/crdt/vector'
import { Failure } from '@sealmesh/protocol/errors'
import type { Watched } from '@sealmesh/protocol/failover/challenger'
import { type Claim, claimOf } from '@sealmesh/protocol/failover/claim'
import { type Blocked, whatBlocks } from '@sealmesh/protocol/failover/electable'
import {
  type LeaseBlob,
  type LeaseKey,
  leaseSlotOf,
  openLease,
  sealLease,
} from '@sealmesh/protocol/failover/lease-blob'
import type { WitnessName } from '@sealmesh/protocol/failover/node-lease'
import { prefixOf, resolvePrefix } from '@sealmesh/protocol/failover/prefix'
import { planTakeover, type TakeoverError } from '@sealmesh/protocol/failover/takeover'
import {
  acceptHanded,
  breakLease,
  fateOf,
  fenceTaker,
  takeAgain,
  takeUnlisted,
} from '@sealmesh/protocol/failover/taking'
import { type LeaseTiming, quietMs } from '@sealmesh/protocol/failover/timing'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { NONCE_BYTES, type Secret } from '@sealmesh/protocol/keys'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { Basis, SignedRecord } from '@sealmesh/protocol/membership/record'
import type { Result } from '@sealmesh/protocol/result'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Standing } from '@sealmesh/protocol/sync/peer-sync'
import type { Documents } from '../documents/documents.ts'
import { type LogKeeper, storedRecord } from '../membership/log-keeper.ts'
import { basisOf } from './basis.ts'
import type { KeptDraft, LeaseStore } from './lease-store.ts'
import { within } from './within.ts'
import type { SlotSeen, Witness } from './witness.ts'

export interface TakerDeps {
  readonly node: NodeId
  readonly signKey: Secret<'sign'>
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly log: LogKeeper
  readonly documents: Pick<Documents, 'names' | 'open'>
  readonly standings: (node: NodeId) => readonly Standing[]
  /** Whether it has said in this run what it has. */
  readonly isHeard: (node: NodeId) => boolean
  readonly store: LeaseStore
  readonly witness: () => Witness | null
  readonly timing: () => LeaseTiming | null
  readonly key: () => LeaseKey | null
  /** All that lies at the relay for this node is durable here when it resolves to true. */
  readonly drained: (waitMs: number) => Promise<boolean>
  /** While this runs nothing is receipted to anybody. */
  readonly quietly: <T>(work: () => Promise<T>) => Promise<T>
  readonly rolledBack: () => boolean
  readonly heard: (seen: SlotSeen) => Promise<void>
  /** This node holds it by the log now, and no other has acted since the register said so. */
  readonly taken: (agent: AgentId, record: SignedRecord) => void
  /** Reads that register now. Undefined when nobody answers. */
  readonly look: (owner: NodeId) => Promise<Watched | undefined>
  /** Whether what was seen of that register may be believed, if the witness has forgotten something. */
  readonly isTrusted: (agent: AgentId, owner: NodeId, watched: Watched) => boolean
  readonly monotonicMs: () => number
}

export interface Asked {
  readonly how: 'break' | 'accept'
  readonly reason: string
  /** A person's word that what could be lost may be. */
  readonly acceptDataLoss: boolean
  /** So it is that what the holder's register does not list may be taken: it cannot say who stands by. */
  readonly unlisted?: true
}

export type TakeOutcome =
  | { readonly type: 'taken'; readonly record: SignedRecord }
  | { readonly type: 'blocked'; readonly why: Blocked }
  /** The register changed, or is not as old as it has to be: its owner, or somebody else, was there. */
  | { readonly type: 'not-now' }

/** One takeover through a register (docs/spec/12-failover.md §4): draft, keep, compare-and-set, and only then the log. */
export class Taker {
  readonly #deps: TakerDeps
  /** One at a time: a draft is signed over the heads that the one before left. */
  #tail: Promise<unknown> = Promise.resolve()

  constructor(deps: TakerDeps) {
    this.#deps = deps
  }

  take(agent: AgentId, watched: Watched, asked: Asked): Promise<TakeOutcome> {
    const turn = this.#tail.then(() => this.#take(agent, watched, asked))
    this.#tail = turn.catch(() => undefined)
    return turn
  }

  /**
   * Without a register: the log alone says who holds it, and two may at once until each has heard of the other. What the
   * old holder writes after the basis was read is late: its receipt names the new term, so that it is not acknowledged.
   */
  async byLog(agentId: AgentId, reason: string, forced = false): Promise<SignedRecord> {
    const { log, node, documents: all, signKey, store, quietly } = this.#deps
    const plan = async (mesh: Mesh) => {
      const documents = await basisOf(all, agentId)
      return planned(planTakeover({ mesh, agent: agentId, node, documents, reason, again: forced }))
    }
    const record = await quietly(() => log.append(plan, { type: 'node', node }, signKey))
    if (forced) await store.noteForced(record.hash)
    await store.noteUntold(record.hash)
    if (log.mesh.agents.get(agentId)?.term?.record !== record.hash)
      throw new Failure('TERM_NOT_HIGHER', 'Another node took the agent over at the same moment.')
    this.#deps.taken(agentId, record)
    return record
  }

  /** The register has said that this draft won. */
  async enter(
    draft: Pick<KeptDraft, 'agent' | 'record' | 'term' | 'bytes' | 'proves'>,
  ): Promise<SignedRecord | undefined> {
    const { log, store } = this.#deps
    const agent = log.mesh.agents.get(draft.agent)
    if ((agent?.term?.number ?? 0) < draft.term) {
      await store.noteUntold(draft.record)
      if (draft.proves) await store.noteProven(draft.record, agent?.failover.record ?? null)
      await log.receive([draft.bytes])
    }
    await store.dropDraft(draft.record)
    const record = log.mesh.records.get(draft.record)
    if (record === undefined || log.mesh.agents.get(draft.agent)?.term?.record !== draft.record) return undefined
    this.#deps.taken(draft.agent, record)
    return record
  }

  /** Blocks of the agent that its holder has named and that are not here. */
  behind(agent: MeshAgent): number {
    if (agent.term === null) return 0
    return this.#deps
      .standings(agent.term.holder)
      .filter(({ name }) => name.agent === agent.id)
      .reduce((sum, { toReceive }) => sum + toReceive, 0)
  }

  async #take(agentId: AgentId, watched: Watched, asked: Asked): Promise<TakeOutcome> {
    const { node, log, store, sodium } = this.#deps
    const [witness, timing, key] = [this.#deps.witness(), this.#deps.timing(), this.#deps.key()]
    const { blob, hash } = watched
    if (witness === null || timing === null || key === null)
      throw new Failure('WITNESS_NEEDED', 'No relay keeps leases for this mesh, or it is not the one in use.')
    // Nobody is fenced for the sake of somebody who may not take it in the end.
    const early = asked.how === 'break' && !asked.acceptDataLoss ? this.#blocksAgain(agentId, blob) : null
    if (early !== null) return { type: 'blocked', why: early }
    if (asked.how === 'break' && !(await this.#fence(agentId, watched, timing, key, witness)))
      return { type: 'not-now' }
    // A second time, after the wait: what was acknowledged as kept by the relay may have come to lie there meanwhile.
    const drained = await this.#deps.drained(timing.retryMs)
    const agent = log.mesh.agents.get(agentId)
    const term = agent?.term
    if (
      agent === undefined ||
      term === undefined ||
      term === null ||
      blob === null ||
      hash === null ||
      blob.node !== term.holder
    )
      return { type: 'not-now' }
    const claim = claimOf(blob, agent)
    const isOpen = claim.type === 'taken' || (claim.type === 'unlisted' && asked.unlisted === true)
    if (claim.type !== 'held' && (!isOpen || asked.how === 'accept')) return { type: 'not-now' }
    const sync = claim.type === 'held' ? claim.sync : claim.type === 'taken' ? claim.taken.sync : null
    const heard = this.#deps.isHeard(term.holder)
    const ready = { drained, rolledBack: this.#deps.rolledBack(), behind: this.behind(agent), heard }
    // What is handed over is all receipted: its giver has looked.
    const whole = asked.how === 'accept' ? null : whatBlocks(log.mesh, agentId, sync, node, ready)
    const why = whole?.type === 'not-in-sync-set' && isOwn(claim, agent, node) ? null : whole
    if (why !== null && !asked.acceptDataLoss) return { type: 'blocked', why }
    const { record, isKept } = await this.#draft(agent, hash, asked, why !== null)
    if (record.body.type !== 'assign' || record.body.previous !== term.record) return { type: 'not-now' }
    const entry = {
      agent: prefixOf(agentId),
      term: record.body.term,
      record: prefixOf(record.hash),
      holder: prefixOf(node),
      from: term.record,
    }
    const taking =
      claim.type === 'taken'
        ? takeAgain(blob, entry, claim.taken)
        : claim.type === 'unlisted'
          ? takeUnlisted(blob, node, entry)
          : asked.how === 'accept'
            ? acceptHanded(blob, node, entry)
            : breakLease(blob, node, [entry])
    if (taking === undefined) return { type: 'not-now' }
    const sealed = sealLease(taking.blob, key, this.#deps.random(NONCE_BYTES), sodium, witness.blobBytes)
    if (!sealed.ok) throw new Failure('INTERNAL', 'A broken lease did not fit its register.')
    const draft: KeptDraft = {
      agent: agentId,
      register: blob.node,
      record: record.hash,
      term: record.body.term,
      proves: claim.type !== 'unlisted',
      expected: hash,
      witness: this.#witnessName,
      bytes: record.bytes,
    }
    if (!isKept) await store.keepDraft(draft)
    const slot = leaseSlotOf(key, blob.node, sodium)
    // No answer leaves the draft: what lies in the register decides when it is looked at next.
    const said = await within(timing.retryMs, witness.set(slot, hash, sealed.value, taking.leastAgeMs))
    await this.#deps.heard(said)
    if (said.result !== 'set') {
      const opened = said.blob === null ? undefined : openLease(said.blob, blob.node, key, sodium)
      const now = { hash: said.hash, blob: opened?.ok === true ? opened.value : null, witness: said.witness }
      // What an earlier question that nobody answered may have come to is not undone by this answer.
      const fate = isKept ? fateOf(draft, now) : 'void'
      if (fate === 'void') await store.dropDraft(record.hash)
      if (fate !== 'taken') return { type: 'not-now' }
    }
    const entered = await this.enter(draft)
    if (entered === undefined)
      throw new Failure('TERM_NOT_HIGHER', 'Another node took the agent over at the same moment.')
    return { type: 'taken', record: entered }
  }

  #blocksAgain(agentId: AgentId, blob: LeaseBlob | null): Blocked | null {
    const { log, node, rolledBack, isHeard } = this.#deps
    const agent = log.mesh.agents.get(agentId)
    if (agent === undefined || agent.term === null || blob === null) return null
    const claim = claimOf(blob, agent)
    if (claim.type !== 'taken' || isOwn(claim, agent, node)) return null
    const heard = isHeard(agent.term.holder)
    const ready = { drained: true, rolledBack: rolledBack(), behind: this.behind(agent), heard }
    return whatBlocks(log.mesh, agentId, claim.taken.sync, node, ready)
  }

  /**
   * Where the register names somebody of whose term nobody knows: that he does not list it, and will not. False when he
   * may hold it, or nobody can say.
   */
  async #fence(
    agentId: AgentId,
    { blob }: Watched,
    timing: LeaseTiming,
    key: LeaseKey,
    witness: Witness,
  ): Promise<boolean> {
    const { log, node, sodium } = this.#deps
    const agent = log.mesh.agents.get(agentId)
    const claim = agent === undefined || blob === null ? undefined : claimOf(blob, agent)
    if (claim?.type !== 'taken') return true
    const taker = resolvePrefix(claim.taken.holder, log.mesh.nodes.keys())
    if (taker === node) return true
    const theirs = taker === undefined ? undefined : await this.#deps.look(taker)
    if (taker === undefined || theirs === undefined || !this.#deps.isTrusted(agentId, taker, theirs)) return false
    // One that it could not write again since would not be absent: who has a lease and reads that puts it back.
    const absentMs = this.#deps.monotonicMs() - theirs.changedAtMs
    if (theirs.blob === null && absentMs < quietMs(timing.leaseMs)) return false
    const fence = fenceTaker(theirs.blob, taker, node, claim.taken, timing.leaseMs)
    if (fence === 'done') return true
    const sealed = sealLease(fence.blob, key, this.#deps.random(NONCE_BYTES), sodium, witness.blobBytes)
    if (!sealed.ok) return false
    const slot = leaseSlotOf(key, taker, sodium)
    const said = await within(timing.retryMs, witness.set(slot, theirs.hash, sealed.value, fence.leastAgeMs))
    await this.#deps.heard(said)
    return said.result === 'set'
  }

  /**
   * The record that was signed for this register as it lies there, if one was: of two that are asked for, one would be
   * lost. What is here by now has to be what it starts from, and a loss that is accepted has to be in it.
   */
  async #draft(
    { id: agent, term }: MeshAgent,
    expected: Uint8Array,
    { reason }: Asked,
    accepts: boolean,
  ): Promise<{ readonly record: SignedRecord; readonly isKept: boolean }> {
    const { log, node, signKey, sodium, store } = this.#deps
    const documents = await basisOf(this.#deps.documents, agent)
    const plan = planned(planTakeover({ mesh: log.mesh, agent, node, documents, reason }))
    const { relays, generation } = this.#witnessName
    for (const draft of store.drafts) {
      const { witness } = draft
      const isOfNow = witness.relays === relays && witness.generation === generation
      if (draft.agent !== agent || draft.register !== term?.holder || !isOfNow) continue
      if (!equalBytes(draft.expected, expected)) continue
      const record = storedRecord(draft.bytes, sodium)
      const { body } = record
      if (body.type !== 'assign' || body.previous !== plan.previous || !isSameBasis(body.basis, plan.basis)) continue
      if (!accepts || body.reason === reason) return { record, isKept: true }
    }
    const body = (mesh: Mesh) => planned(planTakeover({ mesh, agent, node, documents, reason }))
    return { record: await log.draft(body, { type: 'node', node }, signKey), isKept: false }
  }

  get #witnessName(): WitnessName {
    return this.#deps.store.memory.witness ?? { relays: '', generation: '' }
  }
}

/** Of two records of one number this node's is the one that the registers name: nobody has acted under the other. */
const isOwn = (claim: Claim, { term, terms }: MeshAgent, node: NodeId): boolean =>
  claim.type === 'taken' &&
  claim.taken.holder === prefixOf(node) &&
  terms.some(({ number, holder }) => number === term?.number && holder === node)

/** Both by layer. */
const isSameBasis = (a: readonly Basis[], b: readonly Basis[]): boolean =>
  a.length === b.length &&
  a.every(({ layer, vector, digest }, at) => {
    const other = b[at]!
    return layer === other.layer && equalBytes(digest, other.digest) && isSameVector(vector, other.vector)
  })

function planned<T>(plan: Result<T, TakeoverError>): T {
  if (!plan.ok) throw new Failure(plan.error.code, 'The agent cannot be taken over here.')
  return plan.value
}

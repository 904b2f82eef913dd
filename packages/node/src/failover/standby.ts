import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import { placeOf, ripeAtMs, watch, type Watched } from '@sealmesh/protocol/failover/challenger'
import { type Claim, claimOf } from '@sealmesh/protocol/failover/claim'
import { type Blocked, isCoolingDown } from '@sealmesh/protocol/failover/electable'
import { type LeaseKey, leaseSlotOf, openLease, type Taken } from '@sealmesh/protocol/failover/lease-blob'
import type { NodeLease } from '@sealmesh/protocol/failover/node-lease'
import { type Prefix, resolvePrefix } from '@sealmesh/protocol/failover/prefix'
import { fateOf } from '@sealmesh/protocol/failover/taking'
import { type LeaseTiming, quietMs } from '@sealmesh/protocol/failover/timing'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Doubt } from './doubt.ts'
import type { LeaseStore } from './lease-store.ts'
import type { Taker } from './taker.ts'
import { within } from './within.ts'
import type { SlotSeen, Witness } from './witness.ts'

/** What a standby makes of the agents of others, for showing. */
export type Outlook =
  | { readonly type: 'watching' }
  /** The holder's lease is over, or does not list the agent, and a person is to say the rest. */
  | { readonly type: 'proposed' }
  | { readonly type: 'blocked'; readonly why: Blocked }
  | { readonly type: 'cooling-down' }
  | { readonly type: 'witness-forgot' }
  | { readonly type: 'not-listed' }
  /** Something here keeps it from succeeding, which no trying again heals by itself. */
  | { readonly type: 'failed'; readonly code: FailureCode }

/** Of the way to the relay, or of somebody who was faster: the next turn shows. */
const PASSING: ReadonlySet<FailureCode> = new Set(['RELAY_UNREACHABLE', 'RELAY_CLOSED', 'TERM_NOT_HIGHER'])

export interface StandbyDeps {
  readonly node: NodeId
  readonly lease: NodeLease
  readonly store: LeaseStore
  readonly taker: Taker
  readonly doubt: Doubt
  readonly sodium: Sodium
  readonly dice: () => number
  readonly monotonicMs: () => number
  readonly now: () => number
  readonly mesh: () => Mesh
  readonly witness: () => Witness | null
  readonly timing: () => LeaseTiming | null
  readonly key: () => LeaseKey | null
  readonly heard: (seen: SlotSeen) => Promise<void>
  readonly outlookChanged: (agent: AgentId, outlook: Outlook) => void
  readonly failed: (error: unknown) => void
}

/** Watches the registers of those whose agents this node may carry, and takes over what has lost its holder. */
export class Standby {
  readonly #deps: StandbyDeps
  readonly #watched = new Map<NodeId, Watched>()
  readonly #outlooks = new Map<AgentId, Outlook>()
  readonly #looking = new Map<NodeId, Promise<Watched | undefined>>()
  /** Taken by somebody of whose term nobody here knows: since when that was seen. */
  readonly #lost = new Map<AgentId, { readonly record: Prefix; readonly sinceMs: number }>()
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(deps: StandbyDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#plan(0)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  /** What was seen of registers says nothing of a witness that has forgotten. */
  forget(): void {
    this.#watched.clear()
    this.#lost.clear()
  }

  outlookOf(agent: AgentId): Outlook {
    return this.#outlooks.get(agent) ?? { type: 'watching' }
  }

  /** As it was seen last; for showing. */
  seen(node: NodeId): Watched | undefined {
    return this.#watched.get(node)
  }

  /** Reads one register; `anew`: not by a question that is on its way already. Undefined when nobody answers. */
  look(owner: NodeId, anew = false): Promise<Watched | undefined> {
    const known = this.#looking.get(owner)
    if (known !== undefined) return anew ? known.then(() => this.look(owner)) : known
    const looking = this.#read(owner)
      .catch((error: unknown) => {
        this.#deps.failed(error)
        return undefined
      })
      .finally(() => this.#looking.delete(owner))
    this.#looking.set(owner, looking)
    return looking
  }

  /** Whether the register may be believed about this agent although the witness has forgotten something. */
  isTrusted(agent: AgentId, owner: NodeId, watched: Watched): boolean {
    const timing = this.#deps.timing()
    if (!this.#deps.lease.isInDoubt || watched.changes > 0) return true
    return (
      timing !== null && this.#deps.doubt.isSettled(this.#deps.mesh(), agent, timing, this.#deps.monotonicMs(), owner)
    )
  }

  /** Time until this node may take over from that register; 0 or less: now. */
  ripeInMs(agent: MeshAgent, owner: NodeId, watched: Watched): number {
    const timing = this.#deps.timing()
    if (timing === null) return Number.POSITIVE_INFINITY
    const place = Math.max(0, placeOf(agent.hosts, owner, this.#deps.node))
    return ripeAtMs(watched, timing, place) - this.#deps.monotonicMs()
  }

  #plan(inMs: number): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    this.#timer = setTimeout(() => {
      this.#turn()
        .catch(this.#deps.failed)
        .then(() => this.#plan(this.#nextMs()))
        .catch(this.#deps.failed)
    }, inMs)
    this.#timer.unref()
  }

  /** The next look at all registers; sooner where one becomes ripe. */
  #nextMs(): number {
    const timing = this.#deps.timing()
    let inMs = ((timing?.retryMs ?? 2_000) / 2) * (0.7 + 0.3 * this.#deps.dice())
    for (const agent of this.#others()) {
      const owner = agent.term!.holder
      const watched = this.#watched.get(owner)
      const ripeMs = watched === undefined ? inMs : this.ripeInMs(agent, owner, watched)
      if (ripeMs > 0 && ripeMs < inMs) inMs = ripeMs
    }
    return Math.max(1, Math.ceil(inMs))
  }

  async #turn(): Promise<void> {
    if (this.#deps.witness() === null) return
    const owners = new Set([
      ...this.#others().map((agent) => agent.term!.holder),
      ...this.#deps.store.drafts.map(({ register }) => register),
    ])
    await Promise.all([...owners].map((owner) => this.look(owner)))
    for (const agent of this.#others()) {
      const watched = this.#watched.get(agent.term!.holder)
      if (watched !== undefined) await this.#consider(agent, watched)
    }
  }

  /** Leased agents that this node may carry and another one holds. */
  #others(): MeshAgent[] {
    const { node } = this.#deps
    return [...this.#deps.mesh().agents.values()].filter(
      ({ failover, term, hosts }) =>
        failover.mode !== 'manual' && term !== null && term.holder !== node && hosts.includes(node),
    )
  }

  async #read(owner: NodeId): Promise<Watched | undefined> {
    const { store, sodium } = this.#deps
    const [witness, timing, key] = [this.#deps.witness(), this.#deps.timing(), this.#deps.key()]
    if (witness === null || timing === null || key === null) return undefined
    // Only what was kept before the question can be judged by its answer.
    const drafts = store.drafts.filter(({ register }) => register === owner)
    const seen = await within(timing.retryMs, witness.read(leaseSlotOf(key, owner, sodium)))
    await this.#deps.heard(seen)
    const opened = seen.blob === null ? undefined : openLease(seen.blob, owner, key, sodium)
    const blob = opened?.ok === true ? opened.value : null
    const watched = watch(this.#watched.get(owner), { hash: seen.hash, blob }, this.#deps.monotonicMs())
    this.#watched.set(owner, watched)
    for (const draft of drafts) {
      const fate = fateOf(draft, { hash: seen.hash, blob, witness: seen.witness })
      if (fate === 'taken') await this.#deps.taker.enter(draft)
      const isPassed = (this.#deps.mesh().agents.get(draft.agent)?.term?.number ?? 0) >= draft.term
      if (fate === 'void' || isPassed) await store.dropDraft(draft.record)
    }
    return watched
  }

  async #consider(agent: MeshAgent, watched: Watched): Promise<void> {
    const { store, now } = this.#deps
    const owner = agent.term!.holder
    const claim: Claim = watched.blob === null ? { type: 'unknown' } : claimOf(watched.blob, agent)
    if (claim.type !== 'taken') this.#lost.delete(agent.id)
    if (claim.type === 'unknown') return this.#expect(agent.id, { type: 'not-listed' })
    if (claim.type === 'unlisted') {
      const isOver = this.ripeInMs(agent, owner, watched) <= 0 && this.isTrusted(agent.id, owner, watched)
      return this.#expect(agent.id, { type: isOver ? 'proposed' : 'not-listed' })
    }
    const isRipe =
      claim.type === 'held' ? this.ripeInMs(agent, owner, watched) <= 0 : await this.#isLost(agent, owner, claim.taken)
    if (!isRipe) return this.#expect(agent.id, { type: 'watching' })
    if (!this.isTrusted(agent.id, owner, watched)) return this.#expect(agent.id, { type: 'witness-forgot' })
    if (agent.failover.mode === 'ask') return this.#expect(agent.id, { type: 'proposed' })
    if (isCoolingDown(store.failuresAtMs, now())) return this.#expect(agent.id, { type: 'cooling-down' })
    const asked = { how: 'break', reason: 'its holder lost the lease', acceptDataLoss: false } as const
    let code: FailureCode | undefined
    const outcome = await this.#deps.taker.take(agent.id, watched, asked).catch((error: unknown) => {
      this.#deps.failed(error)
      code = error instanceof Failure ? error.code : 'INTERNAL'
      return undefined
    })
    if (outcome?.type === 'blocked') return this.#expect(agent.id, { type: 'blocked', why: outcome.why })
    // The register is another one now, by us or by whoever was faster: see it before the next is considered.
    await this.look(owner)
    const isPassing = code === undefined || PASSING.has(code)
    this.#expect(agent.id, isPassing ? { type: 'watching' } : { type: 'failed', code: code! })
  }

  /**
   * Whoever took it has had the time of a lease to tell of it, seen from here, and holds no lease of it as far as his own
   * register says.
   */
  async #isLost(agent: MeshAgent, owner: NodeId, taken: Taken): Promise<boolean> {
    const { mesh, monotonicMs, node, timing } = this.#deps
    const before = this.#lost.get(agent.id)
    const since = before?.record === taken.record ? before : { record: taken.record, sinceMs: monotonicMs() }
    this.#lost.set(agent.id, since)
    const taker = resolvePrefix(taken.holder, mesh().nodes.keys())
    const now = timing()
    if (taker === undefined || now === null) return false
    // Its own name, where its home was copied: the copy has written into its own register.
    const theirs = await this.look(taker)
    const turnMs = Math.max(0, placeOf(agent.hosts, owner, node)) * now.retryMs
    if (theirs === undefined || monotonicMs() - since.sinceMs < quietMs(now.leaseMs) + turnMs) return false
    if (theirs.blob?.held.some(({ agent: each }) => each === taken.agent) !== true) return true
    return this.ripeInMs(agent, taker, theirs) <= 0
  }

  #expect(agent: AgentId, outlook: Outlook): void {
    const before = this.outlookOf(agent)
    this.#outlooks.set(agent, outlook)
    if (JSON.stringify(before) !== JSON.stringify(outlook)) this.#deps.outlookChanged(agent, outlook)
  }
}

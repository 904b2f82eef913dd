import { judgeAct, type NoAct, type Standing } from '@sealmesh/protocol/failover/authority'
import { hasGap, type Moment } from '@sealmesh/protocol/failover/elapsed'
import type { NodeLease } from '@sealmesh/protocol/failover/node-lease'
import { holdsForMs } from '@sealmesh/protocol/failover/timing'
import type { AgentId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Mesh, Term } from '@sealmesh/protocol/membership/mesh'
import type { Result } from '@sealmesh/protocol/result'

/** Looks at the clock often enough that a gap between two of them means that the process stood still. */
const LOOK_MS = 500

export interface ActingDeps {
  readonly node: NodeId
  readonly lease: NodeLease
  readonly moment: () => Moment
  readonly mesh: () => Mesh
  readonly hasWitness: () => boolean
  readonly isProven: (agent: AgentId) => boolean
  readonly rolledBack: () => boolean
  readonly isQuarantined: (agent: AgentId) => boolean
  /** The clock has jumped: the lease is to be confirmed now. */
  readonly confirm: () => void
  readonly changed: (agent: AgentId, may: Term | null) => void
}

/** Which agents this node may act for: asked in the tick of each act, and told when it changes. */
export class Acting {
  readonly #deps: ActingDeps
  /** Under which term all that was written elsewhere is here. */
  readonly #caughtUp = new Map<AgentId, RecordHash>()
  readonly #frozen = new Set<AgentId>()
  readonly #may = new Map<AgentId, Term>()
  #leftOut: ReadonlySet<AgentId> = new Set()
  #looked: Moment
  /** Since when nothing is believed that was not confirmed by a question sent later. */
  #unsureSince: Moment | null = null
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(deps: ActingDeps) {
    this.#deps = deps
    this.#looked = deps.moment()
  }

  start(): void {
    this.#plan()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  /** In this tick, and no longer. */
  judge(agent: AgentId): Result<{ readonly term: Term; readonly witnessed: boolean }, NoAct> {
    const now = this.#look()
    const { lease, mesh, node } = this.#deps
    const record = lease.holds(agent, now)?.record
    const standing: Standing = {
      listed: record,
      mayBeListed: lease.mayBeListed(agent),
      hasWitness: this.#deps.hasWitness(),
      leftOut: this.#leftOut.has(agent),
      unsure: this.#unsureSince !== null,
      draining: this.#frozen.has(agent),
      caughtUp: record !== undefined && this.#caughtUp.get(agent) === record,
      proven: this.#deps.isProven(agent),
      rolledBack: this.#deps.rolledBack(),
      quarantined: this.#deps.isQuarantined(agent),
    }
    return judgeAct(mesh(), agent, node, standing)
  }

  /** Nothing is written or done for it until `thaw`: it is being handed over. */
  freeze(agent: AgentId): void {
    this.#frozen.add(agent)
    this.review()
  }

  thaw(agent: AgentId): void {
    this.#frozen.delete(agent)
    this.review()
  }

  isFrozen(agent: AgentId): boolean {
    return this.#frozen.has(agent)
  }

  leaveOut(agents: readonly AgentId[]): void {
    this.#leftOut = new Set(agents)
  }

  caughtUp(agent: AgentId, record: RecordHash): void {
    this.#caughtUp.set(agent, record)
    this.review()
  }

  isCaughtUp(agent: AgentId, record: RecordHash): boolean {
    return this.#caughtUp.get(agent) === record
  }

  /** A renewal that left at `sent` has succeeded. */
  won(sent: Moment, continued: boolean): void {
    const unsure = this.#unsureSince
    if (unsure !== null && sent.monotonicMs >= unsure.monotonicMs && sent.uptimeMs >= unsure.uptimeMs)
      this.#unsureSince = null
    // Others may have written while nobody held it.
    if (!continued) this.#caughtUp.clear()
    this.review()
  }

  /** Tells what has changed: at once where this node lost the right, in the turn in which it learns of that. */
  review(): void {
    for (const agent of this.#deps.mesh().agents.keys()) {
      const judged = this.judge(agent)
      const before = this.#may.get(agent)
      const now = judged.ok ? judged.value.term : undefined
      if (before?.record === now?.record) continue
      if (before !== undefined) {
        this.#may.delete(agent)
        this.#deps.changed(agent, null)
      }
      if (now !== undefined) {
        this.#may.set(agent, now)
        this.#deps.changed(agent, now)
      }
    }
    this.#plan()
  }

  #look(): Moment {
    const now = this.#deps.moment()
    if (hasGap(this.#looked, now) && this.#deps.lease.won !== null) {
      this.#unsureSince = now
      this.#deps.confirm()
    }
    this.#looked = now
    return now
  }

  /** Also when the lease runs out, so that who is to be stopped is stopped then. */
  #plan(): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    const { won } = this.#deps.lease
    const leftMs =
      won === null ? LOOK_MS : won.sent.monotonicMs + holdsForMs(won.timing) - this.#deps.moment().monotonicMs
    this.#timer = setTimeout(() => this.review(), leftMs > 0 ? Math.min(LOOK_MS, Math.ceil(leftMs)) : LOOK_MS)
    this.#timer.unref()
  }
}

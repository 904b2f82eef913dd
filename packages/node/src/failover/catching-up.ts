import type { NodeLease } from '@sealmesh/protocol/failover/node-lease'
import type { LeaseTiming } from '@sealmesh/protocol/failover/timing'
import type { AgentId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { Acting } from './acting.ts'
import type { LeaseStore } from './lease-store.ts'
import type { FailoverTalk } from './talk.ts'
import { within } from './within.ts'

const AGAIN_MS = 250
/** An assign and what its parents are missing; the rest of the log comes by sync. */
const RECORDS_MAX = 64

export interface CatchingUpDeps {
  readonly node: NodeId
  readonly lease: NodeLease
  readonly acting: Acting
  readonly talk: FailoverTalk
  readonly store: LeaseStore
  readonly log: LogKeeper
  readonly timing: () => LeaseTiming | null
  readonly drained: (waitMs: number) => Promise<boolean>
  readonly failed: (error: unknown) => void
}

/**
 * Between a lease and the first act under it: all that lay at the relay has been read, and every other host can know
 * of the term, so that a term in which somebody acted is one that others can follow.
 */
export class CatchingUp {
  readonly #deps: CatchingUpDeps
  readonly #under = new Set<RecordHash>()
  /** How often the lease has run out: what was read before that is not enough. */
  #lapses = 0
  #closed = false

  constructor(deps: CatchingUpDeps) {
    this.#deps = deps
  }

  /** The lease was won; `continued`: it had not run out. */
  won(continued: boolean): void {
    const { lease, acting } = this.#deps
    if (!continued) this.#lapses += 1
    for (const [agent, { record }] of lease.won?.held ?? [])
      if (!acting.isCaughtUp(agent, record)) this.#begin(agent, record)
  }

  close(): void {
    this.#closed = true
  }

  #begin(agent: AgentId, record: RecordHash): void {
    if (this.#under.has(record)) return
    this.#under.add(record)
    const lapses = this.#lapses
    this.#done(record)
      .catch((error: unknown) => {
        this.#deps.failed(error)
        return false
      })
      .then((done) => {
        this.#under.delete(record)
        if (this.#closed || this.#deps.lease.won?.held.get(agent)?.record !== record) return
        if (done && lapses === this.#lapses) return this.#deps.acting.caughtUp(agent, record)
        setTimeout(() => this.#begin(agent, record), done ? 0 : AGAIN_MS).unref()
      })
      .catch(this.#deps.failed)
  }

  async #done(record: RecordHash): Promise<boolean> {
    const timing = this.#deps.timing()
    if (timing === null || !(await this.#deps.drained(timing.retryMs))) return false
    return !this.#deps.store.isUntold(record) || this.#tell(record, timing)
  }

  async #tell(hash: RecordHash, timing: LeaseTiming): Promise<boolean> {
    const { log, node, store, talk } = this.#deps
    const record = log.mesh.records.get(hash)
    if (record?.body.type !== 'assign') return false
    const hosts = log.mesh.agents.get(record.body.agent)?.hosts ?? []
    const records = log.after(record.parents).slice(0, RECORDS_MAX)
    const bytes = records.map((each) => each.bytes)
    // Who cannot be sealed to has let its prekeys expire: it is told when it returns.
    const placed = hosts.filter((host) => host !== node).flatMap((host) => talk.place(host, bytes) ?? [])
    const answers = await within(timing.retryMs, Promise.all(placed))
    if (answers.includes(false)) return false
    await store.noteTold(hash)
    return true
  }
}

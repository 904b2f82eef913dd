import type { NodeLease } from '@sealmesh/protocol/failover/node-lease'
import type { LeaseTiming } from '@sealmesh/protocol/failover/timing'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { Logger } from 'pino'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { Doubt } from './doubt.ts'
import type { LeaseStore } from './lease-store.ts'
import { Proof } from './proof.ts'
import type { FailoverTalk } from './talk.ts'

const ASK_MS = 1_000

export interface AskingDeps {
  readonly node: NodeId
  readonly lease: NodeLease
  readonly store: LeaseStore
  readonly log: LogKeeper
  readonly talk: FailoverTalk
  readonly monotonicMs: () => number
  readonly timing: () => LeaseTiming | null
  readonly renew: () => Promise<boolean>
  /** Whether the register says something else than it would say now. */
  readonly wantsChange: () => boolean
  /** What was seen of registers says nothing any more. */
  readonly forget: () => void
  readonly logger: Pick<Logger, 'warn'>
  readonly failed: (error: unknown) => void
}

/** What other hosts are asked, and what rests on their answers: the end of a doubt, and that nobody else acts. */
export class Asking {
  readonly #deps: AskingDeps
  readonly doubt: Doubt
  readonly proof: Proof
  readonly #byWord = new Set<AgentId>()
  #timer: NodeJS.Timeout | undefined

  constructor(deps: AskingDeps) {
    this.#deps = deps
    this.doubt = new Doubt(deps.node)
    this.proof = new Proof({ ...deps, mesh: () => deps.log.mesh })
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#ask()
      for (const { host, agent, keys } of this.proof.due())
        this.#deps.talk.askHeads(host, agent, () => void this.proof.heard(host, keys).catch(this.#deps.failed))
    }, ASK_MS)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** A person says that nobody else acts for it. */
  byWord(agent: AgentId): void {
    this.#byWord.add(agent)
  }

  /** What was said about agents that are listed now has had its effect. */
  listed(agents: Iterable<AgentId>): void {
    for (const agent of agents) this.#byWord.delete(agent)
  }

  /** Whether it may be listed although the witness has forgotten: by what was heard since, of whichever doubt it is now. */
  isSettled(agent: AgentId): boolean {
    this.noteDoubt()
    const timing = this.#deps.timing()
    if (timing === null) return false
    const { log, monotonicMs } = this.#deps
    return this.#byWord.has(agent) || this.doubt.isSettled(log.mesh, agent, timing, monotonicMs())
  }

  waitsFor(agent: AgentId): NodeId[] {
    return this.#deps.lease.isInDoubt ? this.doubt.waitsFor(this.#deps.log.mesh, agent) : []
  }

  noteDoubt(): void {
    if (!this.doubt.note(this.#deps.lease.doubt, this.#deps.monotonicMs())) return
    this.#byWord.clear()
    this.#deps.forget()
    this.#deps.logger.warn({}, 'the witness has forgotten leases: nothing is taken from it until others were heard')
    queueMicrotask(() => this.#ask())
  }

  #ask(): void {
    this.noteDoubt()
    const { lease, log, node, talk, timing, renew, wantsChange } = this.#deps
    if (!lease.isInDoubt || timing() === null) return
    const mine: MeshAgent[] = [...log.mesh.agents.values()].filter(({ hosts }) => hosts.includes(node))
    const about = lease.doubt
    const asked = new Map(mine.flatMap(({ id }) => this.waitsFor(id).map((host) => [host, id] as const)))
    for (const [host, agent] of asked)
      talk.askHeads(host, agent, () => {
        if (lease.doubt === about) this.doubt.heard(host)
      })
    if (!mine.every(({ id }) => this.isSettled(id))) {
      if (wantsChange()) void renew()
      return
    }
    const ended = renew().then(async (won) => {
      if (!won) return
      lease.endDoubt(about)
      await this.#deps.store.keep(lease.memory)
    })
    ended.catch(this.#deps.failed)
  }
}

import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeLease } from '@sealmesh/protocol/failover/node-lease'
import { prefixOf } from '@sealmesh/protocol/failover/prefix'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { isSingleWriter, readersOf } from '@sealmesh/protocol/membership/access'
import type { MeshAgent, Term } from '@sealmesh/protocol/membership/mesh'
import type { Standing } from '@sealmesh/protocol/sync/peer-sync'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { Acting } from './acting.ts'
import type { OwnRegister } from './own-register.ts'
import type { FailoverTalk } from './talk.ts'

/** Longer than the successor takes from a phone's network; afterwards the agent stays where it is. */
const TAKEN_WITHIN_MS = 5_000
const RECEIPTED_WITHIN_MS = 5_000
const LOOK_AGAIN_MS = 10
/** A word may be lost. */
const SAY_AGAIN_MS = 1_000

export interface HandoverDeps {
  readonly node: NodeId
  readonly lease: NodeLease
  readonly own: OwnRegister
  readonly acting: Acting
  readonly talk: FailoverTalk
  readonly log: LogKeeper
  readonly standings: (node: NodeId) => readonly Standing[]
  readonly names: () => readonly DocumentName[]
  readonly monotonicMs: () => number
  /** Resolves when what acted for agents that lost the right has ended. */
  readonly stopped?: () => Promise<void>
}

/** The holder's side of a planned handover (docs/spec/12-failover.md §8). */
export class Handover {
  readonly #deps: HandoverDeps
  readonly #handed = new Map<AgentId, NodeId>()
  /** Handed to somebody of whom nobody knows whether he took them. */
  readonly #undecided = new Map<AgentId, MeshAgent>()

  constructor(deps: HandoverDeps) {
    this.#deps = deps
  }

  /** What the next renewal lists as handed over. */
  get handed(): { readonly agent: AgentId; readonly to: NodeId }[] {
    return [...this.#handed].map(([agent, to]) => ({ agent, to }))
  }

  /** Resolves to the successor's term. Throws HANDOVER_FAILED, and then the agent is where it was. */
  async run(agentId: AgentId, to: NodeId): Promise<Term> {
    const { acting, lease, own } = this.#deps
    if (acting.isFrozen(agentId)) throw new Failure('HANDOVER_FAILED', 'The agent is being handed over already.')
    const before = this.#agent(agentId)
    if (!before.hosts.includes(to)) throw new Failure('NOT_A_HOST', 'That node is not among the hosts of the agent.')
    if (!readersOf(this.#deps.log.mesh, agentId, 'session').includes(to))
      throw new Failure('NOT_SHARED', 'That node does not read what the holder alone writes.')
    const isLeased = lease.mayBeListed(agentId)
    acting.freeze(agentId)
    try {
      const receipted = await this.#until(RECEIPTED_WITHIN_MS, () => this.#hasAll(agentId, to))
      if (receipted === undefined)
        throw new Failure('HANDOVER_FAILED', 'The other node has not receipted all that was written here.')
      await this.#deps.stopped?.()
      if (isLeased) {
        this.#handed.set(agentId, to)
        if (!(await own.renew()) || !this.#isHanded(agentId))
          throw new Failure('HANDOVER_FAILED', 'The witness does not answer, or this node holds no lease of the agent.')
      }
      let saidAtMs = Number.NEGATIVE_INFINITY
      const term = await this.#until(TAKEN_WITHIN_MS, () => {
        if (this.#deps.monotonicMs() - saidAtMs >= SAY_AGAIN_MS) {
          saidAtMs = this.#deps.monotonicMs()
          this.#deps.talk.say(to, 'take', agentId)
        }
        return this.#passed(before, to)
      })
      if (term !== undefined) return term
      throw new Failure('HANDOVER_FAILED', 'The other node did not take the agent in time.')
    } finally {
      this.#handed.delete(agentId)
      await this.#settle(agentId, before, isLeased)
    }
  }

  /** What was handed is this node's again only once the register says so: a compare-and-set decides. */
  async #settle(agentId: AgentId, before: MeshAgent, isLeased: boolean): Promise<void> {
    const { acting, own } = this.#deps
    if (this.#passed(before) !== undefined || !isLeased) return acting.thaw(agentId)
    if (await own.renew()) return acting.thaw(agentId)
    // Frozen until a renewal comes through: whoever it was handed to may have it.
    this.#undecided.set(agentId, before)
  }

  /** After each renewal that has succeeded, and each change of the log. */
  review(): void {
    for (const [agent, before] of this.#undecided) {
      if (this.#passed(before) === undefined && (this.#isHanded(agent) || this.#deps.lease.register === null)) continue
      this.#undecided.delete(agent)
      this.#deps.acting.thaw(agent)
    }
  }

  #isHanded(agent: AgentId): boolean {
    return this.#deps.lease.register?.handed.some((each) => each.agent === prefixOf(agent)) ?? false
  }

  #passed(before: MeshAgent, to?: NodeId): Term | undefined {
    const term = this.#agent(before.id).term
    const isNew = term !== null && term.number > (before.term?.number ?? 0) && term.holder !== this.#deps.node
    return isNew && (to === undefined || term.holder === to) ? term : undefined
  }

  /** Of single-writer layers nothing is written now; of the others what comes meanwhile is merged anyway. */
  #hasAll(agent: AgentId, to: NodeId): true | undefined {
    const theirs = this.#deps.standings(to).filter(({ name }) => name.agent === agent && isSingleWriter(name.layer))
    const isNamed = new Set(theirs.map(({ name }) => name.layer))
    // Of whom nothing was heard nobody knows what he has.
    const mine = this.#deps.names().filter((name) => name.agent === agent && isSingleWriter(name.layer))
    if (!mine.every(({ layer }) => isNamed.has(layer))) return undefined
    return theirs.every(({ toSend }) => toSend === 0) ? true : undefined
  }

  #agent(id: AgentId): MeshAgent {
    const agent = this.#deps.log.mesh.agents.get(id)
    if (agent === undefined) throw new Failure('AGENT_UNKNOWN', 'The mesh has no such agent.')
    return agent
  }

  async #until<T>(ms: number, look: () => T | undefined): Promise<T | undefined> {
    const endMs = this.#deps.monotonicMs() + ms
    for (;;) {
      const seen = look()
      if (seen !== undefined || this.#deps.monotonicMs() >= endMs) return seen
      await new Promise<void>((resolve) => void setTimeout(resolve, LOOK_AGAIN_MS))
    }
  }
}

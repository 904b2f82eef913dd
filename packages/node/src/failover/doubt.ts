import { quietMs, type LeaseTiming } from '@sealmesh/protocol/failover/timing'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'

/**
 * Since the witness forgot: who has said with the same log heads as ours that it knows of no other term
 * (docs/spec/12-failover.md §4). In memory only: a restart asks again.
 */
export class Doubt {
  readonly #node: NodeId
  #sinceMs: number | null = null
  #about: number | null = null
  #heard = new Set<NodeId>()

  constructor(node: NodeId) {
    this.#node = node
  }

  /** `about` is the count from which writes are to be believed; another one is another doubt. True when it is new. */
  note(about: number | null, nowMs: number): boolean {
    if (about === this.#about && this.#sinceMs !== null) return false
    this.#about = about
    this.#heard = new Set()
    this.#sinceMs = about === null ? null : nowMs
    return about !== null
  }

  heard(node: NodeId): void {
    this.#heard.add(node)
  }

  /** Whether every host of the agent but these has been heard, after all leases of before have run out. */
  isSettled(mesh: Mesh, agent: AgentId, timing: LeaseTiming, nowMs: number, but?: NodeId): boolean {
    if (this.#sinceMs === null || nowMs - this.#sinceMs < quietMs(timing.leaseMs)) return false
    return this.waitsFor(mesh, agent, but).length === 0
  }

  waitsFor(mesh: Mesh, agent: AgentId, but?: NodeId): NodeId[] {
    const hosts = mesh.agents.get(agent)?.hosts ?? []
    return hosts.filter((host) => host !== this.#node && host !== but && !this.#heard.has(host))
  }
}

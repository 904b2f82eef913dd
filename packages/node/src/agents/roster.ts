import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import { Profile } from '@sealmesh/protocol/messages/profile'
import type { Population } from './core/who.ts'
import type { AgentLimits } from './limits.ts'
import { Seat } from './seat.ts'
import type { Tokens } from './tokens.ts'

export interface RosterDeps {
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly tokens: Tokens
  readonly limits: AgentLimits
  readonly now: () => number
}

/** The agents that may be here: those that this machine may carry and that have a token. */
export class Roster implements Population<Seat> {
  readonly #deps: RosterDeps
  readonly #seats = new Map<AgentId, Seat>()
  #named: { readonly mesh: Mesh; readonly agents: ReadonlyMap<string, MeshAgent> } | undefined

  constructor(deps: RosterDeps) {
    this.#deps = deps
  }

  /** The seat of an agent that is at home here; undefined for every other. */
  seat(agent: AgentId): Seat | undefined {
    const { node, tokens, limits, now } = this.#deps
    const known = this.#deps.mesh().agents.get(agent)
    if (known === undefined || !known.hosts.includes(node) || !tokens.all.has(agent)) return undefined
    let seat = this.#seats.get(agent)
    if (seat === undefined) {
      const current = (): MeshAgent => this.#deps.mesh().agents.get(agent) ?? known
      seat = new Seat(current, Profile.parse({}), limits, now())
      this.#seats.set(agent, seat)
    }
    return seat
  }

  /** Of those that may get messages. */
  named(name: string): Seat | undefined {
    const agent = this.agentNamed(name)
    return agent === undefined ? undefined : this.receiving(agent.id)
  }

  /** Of the whole mesh. */
  agentNamed(name: string): MeshAgent | undefined {
    return this.#agents().get(name)
  }

  /** Of those that may get messages, by id. */
  receiving(agent: AgentId): Seat | undefined {
    return this.#receives(agent) ? this.seat(agent) : undefined
  }

  *all(): Generator<Seat> {
    for (const agent of this.#deps.tokens.all.keys()) {
      const seat = this.receiving(agent)
      if (seat !== undefined) yield seat
    }
  }

  /** Whoever is at home here, messages or not. */
  *everyone(): Generator<Seat> {
    for (const agent of this.#deps.tokens.all.keys()) {
      const seat = this.seat(agent)
      if (seat !== undefined) yield seat
    }
  }

  #receives(agent: AgentId): boolean {
    return this.#deps.tokens.all.get(agent)?.rights.includes('receive') === true
  }

  /** By name, made once for each state of the mesh: every message asks. */
  #agents(): ReadonlyMap<string, MeshAgent> {
    const mesh = this.#deps.mesh()
    if (this.#named?.mesh !== mesh) {
      const agents = new Map<string, MeshAgent>()
      for (const agent of mesh.agents.values()) {
        const other = agents.get(agent.name)
        if (other === undefined || agent.id < other.id) agents.set(agent.name, agent)
      }
      this.#named = { mesh, agents }
    }
    return this.#named.agents
  }
}

import type { Document } from '@sealmesh/protocol/crdt/document'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { AgentView } from '@sealmesh/protocol/messages/profile'
import type { Documents } from '../documents/documents.ts'
import { iso } from '../service/context.ts'
import { type Far, isHost } from './core/far.ts'
import { ROSTER_LAYER, standingOf, type ToldAgent, type ToldMachine, toldBy } from './core/roster-entry.ts'
import type { AgentNews } from './desk.ts'

export interface FarRosterDeps {
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly documents: Pick<Documents, 'names' | 'openWhole' | 'onCommit'>
  /** It was heard of lately. */
  readonly isThere: (node: NodeId) => boolean
  /** By the wall clock here; null when it was not heard in this run. */
  readonly heardAtMs: (node: NodeId) => number | null
  readonly now: () => number
}

/** An agent that another machine says is attached there. */
export interface FarAgent extends Far, ToldAgent {
  readonly state: 'attached' | 'unreachable'
}

type Listener = (event: AgentNews, agent: FarAgent) => void

/** How late it may be seen that a machine is silent. */
const TICK_MS = 1_000

/** Which agents are attached to other machines, by what these tell in their rosters. */
export class FarRoster {
  readonly #deps: FarRosterDeps
  readonly #told = new Map<NodeId, ToldMachine>()
  /** As it was told last. */
  #shown = new Map<string, FarAgent>()
  readonly #listeners = new Set<Listener>()
  readonly #stopListening: () => void
  readonly #timer: NodeJS.Timeout

  private constructor(deps: FarRosterDeps) {
    this.#deps = deps
    this.#stopListening = deps.documents.onCommit(({ name, document }) => {
      if (name.layer === ROSTER_LAYER) this.#read(name.agent, document)
    })
    this.#timer = setInterval(() => this.#compare(), TICK_MS)
    this.#timer.unref()
  }

  static async load(deps: FarRosterDeps): Promise<FarRoster> {
    const far = new FarRoster(deps)
    for (const name of deps.documents.names()) {
      if (name.layer !== ROSTER_LAYER) continue
      const document = await deps.documents.openWhole(name)
      if (document !== undefined) far.#read(name.agent, document)
    }
    return far
  }

  onNews(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Those that hold at this moment. */
  all(): FarAgent[] {
    const { mesh, isThere, now } = this.#deps
    const known = mesh()
    return [...this.#told].flatMap(([node, { untilMs, agents }]) => {
      const state = standingOf(untilMs, isThere(node), now())
      if (state === undefined) return []
      return [...agents].flatMap(([id, told]) => {
        const agent = known.agents.get(id)
        return agent !== undefined && isHost(known, agent, node) ? [{ ...told, agent: id, node, state }] : []
      })
    })
  }

  /** Machines where that agent is attached; those that are heard first. */
  machinesOf(agent: AgentId): NodeId[] {
    if (![...this.#told.values()].some(({ agents }) => agents.has(agent))) return []
    const there = this.all().filter((each) => each.agent === agent)
    return there.toSorted((a, b) => rank(a) - rank(b) || (a.node < b.node ? -1 : 1)).map(({ node }) => node)
  }

  view({ agent, node, profile, state, sinceMs, toldAtMs }: FarAgent): AgentView {
    const { mesh, heardAtMs } = this.#deps
    return {
      ...profile,
      name: mesh().agents.get(agent)?.name ?? '',
      agent,
      nodeName: mesh().nodes.get(node)?.name ?? '',
      here: false,
      state,
      pid: null,
      since: iso(sinceMs),
      // A machine that is heard would have said that it left.
      heardAt: iso(heardAtMs(node) ?? toldAtMs),
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.#stopListening()
  }

  #read(founding: AgentId, document: Document): void {
    const { mesh, node } = this.#deps
    for (const machine of mesh().nodes.values())
      if (machine.foundingAgent.id === founding && machine.id !== node)
        this.#told.set(machine.id, toldBy(machine.id, document))
    this.#compare()
  }

  #compare(): void {
    if (this.#told.size === 0) return
    const before = this.#shown
    this.#shown = new Map(this.all().map((each) => [`${each.node} ${each.agent}`, each]))
    for (const [key, now] of this.#shown) {
      const known = before.get(key)
      if (known === undefined || known.sinceMs !== now.sinceMs) this.#tell('arrived', now)
      else if (known.state !== now.state || !isSame(known.profile, now.profile)) this.#tell('changed', now)
    }
    for (const [key, gone] of before) if (!this.#shown.has(key)) this.#tell('left', gone)
  }

  #tell(event: AgentNews, agent: FarAgent): void {
    for (const listener of this.#listeners) listener(event, agent)
  }
}

const rank = ({ state }: FarAgent): number => (state === 'attached' ? 0 : 1)

const isSame = (a: ToldAgent['profile'], b: ToldAgent['profile']): boolean => JSON.stringify(a) === JSON.stringify(b)

import { Failure } from '@sealmesh/protocol/errors'
import { type AgentId, isName } from '@sealmesh/protocol/ids'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import { closestTo } from '../config/closest.ts'
import { aliasesOf, layerOf, type OwnAliases, STANDARD_LAYERS } from '../config/layer-names.ts'
import type { Documents } from '../documents/documents.ts'

/** Layers by the names that people give them: what an alias means, and which name is a slip of the hand. */
export class Layers {
  readonly #own: () => OwnAliases
  readonly #documents: Pick<Documents, 'names'>
  /** Layers of agents that were found to be there or meant; each is asked about once. */
  readonly #known = new Map<AgentId, Set<string>>()

  constructor(own: () => OwnAliases, documents: Pick<Documents, 'names'>) {
    this.#own = own
    this.#documents = documents
  }

  /** Another object when the owner has changed them. */
  get names(): OwnAliases {
    return this.#own()
  }

  /** What the owner, or an older tool, means by a layer's name. */
  meant(agent: string, name: string): string {
    return layerOf(this.#own(), agent, name)
  }

  /**
   * Refuses a layer that nobody has used and that reads like one that is there: a slip would found a layer that
   * nothing reads and no grant covers. `meansIt` says that it is none.
   */
  refuseSlip(agent: MeshAgent, layer: string, meansIt: boolean): void {
    if (STANDARD.has(layer)) return
    if (this.#known.get(agent.id)?.has(layer) === true) return
    if (!isName(layer)) throw new Failure('NAME_INVALID', `"${layer.slice(0, 64)}" is not a layer's name.`)
    if (!meansIt) this.#refuseSlip(agent, layer)
    const known = this.#known.get(agent.id) ?? new Set()
    // A caller may invent names without end.
    if (known.size >= KNOWN_MAX) known.clear()
    this.#known.set(agent.id, known.add(layer))
  }

  #refuseSlip(agent: MeshAgent, layer: string): void {
    const used = new Set(agent.grants.map((grant) => grant.layer))
    for (const name of this.#documents.names()) if (name.agent === agent.id) used.add(name.layer)
    if (used.has(layer)) return
    const meant = closestTo(layer, [...STANDARD_LAYERS, ...used, ...aliasesOf(this.#own(), agent.name)])
    if (meant !== undefined)
      throw new Failure('LAYER_UNKNOWN', `${agent.name} has no layer "${layer}": did you mean ${meant}?`)
  }
}

const STANDARD: ReadonlySet<string> = new Set(STANDARD_LAYERS)
/** Of one agent. */
const KNOWN_MAX = 1_000

import type { NodeId } from '@sealmesh/protocol/ids'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import { recipientsOf as listOf, type Config } from '../config/schema.ts'
import type { ServiceContext } from './context.ts'
import { parseTo, sameTo, type Step } from './share-plan.ts'
import { takeSteps } from './sharing.ts'

/**
 * What the config shares by default and nobody has said anything about (docs/config.md): a default makes a grant once.
 * From the moment that a grant of the layer was ended, or one to the same recipient given, the log has the last word,
 * so that no default ever shares again what a person took back.
 */
export function defaultsDue(mesh: Mesh, node: NodeId, { agents }: Pick<Config, 'agents'>): Due[] {
  const due: Due[] = []
  for (const agent of mesh.agents.values()) {
    if (agent.term?.holder !== node || !Object.hasOwn(agents, agent.name)) continue
    const steps: Step[] = []
    const unknown: string[] = []
    for (const [layer, given] of Object.entries(agents[agent.name]?.share ?? {})) {
      const said = agent.grants.filter((grant) => grant.layer === layer)
      if (said.some((grant) => grant.ended !== null)) continue
      for (const recipient of listOf(given)) {
        const wanted = known(mesh, layer, recipient)
        if (wanted === undefined || wanted.access === 'none') unknown.push(`${layer}=${recipient}`)
        else if (!said.some((grant) => sameTo(grant.to, wanted.to)))
          steps.push({ type: 'grant', layer, to: wanted.to, access: wanted.access })
      }
    }
    if (steps.length > 0 || unknown.length > 0) due.push({ agent, steps, unknown })
  }
  return due
}

export interface Due {
  readonly agent: MeshAgent
  readonly steps: readonly Step[]
  /** `layer=recipient` that names nobody yet: it waits until a node or an agent of that name is there. */
  readonly unknown: readonly string[]
}

/** Signs grants that the config asks for: at the start, after each change of the log, and when the config is read again. */
export class DefaultShares {
  readonly #context: ServiceContext
  readonly #config: () => Config
  #running: Promise<void> | undefined
  #again = false

  constructor(context: ServiceContext, config: () => Config) {
    this.#context = context
    this.#config = config
  }

  /** One at a time, over the newest log. Never rejects. */
  apply(): Promise<void> {
    this.#again = true
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    const { log, node, logger } = this.#context
    while (this.#again) {
      this.#again = false
      try {
        for (const { agent, steps } of defaultsDue(log.mesh, node, this.#config())) {
          await takeSteps(this.#context, agent, steps)
          if (steps.length > 0) logger.info({ agent: agent.id, grants: steps.length }, 'defaults of the config applied')
        }
      } catch (error) {
        logger.error({ err: error }, 'a default of the config could not be applied')
      }
    }
  }
}

function known(mesh: Mesh, layer: string, recipient: string): ReturnType<typeof parseTo> | undefined {
  try {
    return parseTo(mesh, layer, recipient)
  } catch {
    return undefined
  }
}

import type { AgentPort } from '@sealmesh/agent/agent-port'
import type { Message } from '@sealmesh/protocol/messages/message'
import type { AgentView } from '@sealmesh/protocol/messages/profile'

/** A worker that has not said for so long that it is there gets no task. */
const SILENT_MS = 3_000
/** Messages of this type say that a worker is there; their payload is what it can do. */
export const I_AM_HERE = 'heartbeat'

export interface Ability {
  readonly capabilities: readonly string[]
  readonly capacity: number
}

/**
 * What the registry says of another machine may be ten seconds old. Workers there say themselves, and more often, that they
 * are there, and are listed with the others.
 */
export class FarWorkers {
  readonly #heard = new Map<string, { readonly ability: Ability; readonly nodeName: string; readonly atMs: number }>()

  hear({ type, from, payload }: Message): void {
    const [name = '', nodeName = ''] = from.split('@')
    if (type === I_AM_HERE)
      this.#heard.set(name, { ability: payload as unknown as Ability, nodeName, atMs: Date.now() })
  }

  portOf(port: AgentPort): AgentPort {
    return {
      ...port,
      agents: async (filter) => {
        const here = await port.agents(filter)
        const far = this.#views().filter(({ name }) => here.every((view) => view.name !== name))
        const { capability } = filter ?? {}
        return [...here, ...far.filter((view) => capability === undefined || view.capabilities.includes(capability))]
      },
    }
  }

  #views(): AgentView[] {
    const views: AgentView[] = []
    for (const [name, { ability, nodeName, atMs }] of this.#heard) {
      if (atMs < Date.now() - SILENT_MS) continue
      const heardAt = new Date(atMs).toISOString()
      const { capabilities, capacity } = ability
      views.push({
        name,
        nodeName,
        agent: name,
        role: 'worker',
        capabilities: [...capabilities],
        persona: '',
        kind: 'service',
        load: 0,
        capacity,
        status: 'active',
        here: false,
        state: 'attached',
        pid: null,
        since: heardAt,
        heardAt,
      })
    }
    return views
  }
}

import type { AgentId } from '@sealmesh/protocol/ids'
import { z } from 'zod'
import type { Meta } from '../store/meta.ts'

/** Of each agent's id enough to tell it from the others here: 10,000 fit into a named value. */
const PREFIX = 6
const Made = z.object({ madeAt: z.string(), agents: z.string() })
const KIT_MADE = 'kit-made'

/** When a recovery kit was last made of this home, and with whose keys: what `status` complains about. */
export class KitNote {
  readonly #meta: Meta
  #made: z.infer<typeof Made> | null

  private constructor(meta: Meta, made: z.infer<typeof Made> | null) {
    this.#meta = meta
    this.#made = made
  }

  static async load(meta: Meta): Promise<KitNote> {
    return new KitNote(meta, (await meta.read(KIT_MADE, Made)) ?? null)
  }

  get made(): z.infer<typeof Made> | null {
    return this.#made
  }

  /** Agents whose keys are here and in no kit. */
  missing(agents: readonly AgentId[]): AgentId[] {
    const known = new Set(this.#made?.agents.match(/.{6}/g))
    return agents.filter((agent) => !known.has(agent.slice(0, PREFIX)))
  }

  /** Durable when it resolves. */
  async kept({ madeAt, agents }: { madeAt: string; agents: readonly string[] }): Promise<void> {
    const made = { madeAt, agents: agents.map((agent) => agent.slice(0, PREFIX)).join('') }
    await this.#meta.write(KIT_MADE, Made, made)
    this.#made = made
  }
}

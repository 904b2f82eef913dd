import { isItemId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { OwnAliases } from '../config/layer-names.ts'
import { resolveUmr, type ServiceContext, type Target } from './context.ts'

/**
 * Where UMRs lead. Most calls name the document of the call before: its agent and layer are looked up again only when
 * membership or the owner's names have changed.
 */
export class Places {
  readonly #context: Pick<ServiceContext, 'log' | 'layers'>
  #last:
    | { readonly start: string; readonly target: Target; readonly mesh: Mesh; readonly names: OwnAliases }
    | undefined

  constructor(context: Pick<ServiceContext, 'log' | 'layers'>) {
    this.#context = context
  }

  /** As `resolveUmr`, with its errors. */
  of(text: string): Target {
    const { log, layers } = this.#context
    const last = this.#last
    if (last !== undefined && text.startsWith(last.start) && last.mesh === log.mesh && last.names === layers.names) {
      const id = text.slice(last.start.length)
      const { agent, document, umr } = last.target
      if (isItemId(id)) return { umr: { agent: umr.agent, region: umr.region, id }, text, agent, document }
    }
    const target = resolveUmr(this.#context, text)
    // An alias is written out in what is answered.
    if (target.text === text) {
      const start = text.slice(0, text.length - target.umr.id.length)
      this.#last = { start, target, mesh: log.mesh, names: layers.names }
    }
    return target
  }
}

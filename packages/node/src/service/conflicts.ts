import { Failure } from '@sealmesh/protocol/errors'
import { SIBLINGS_SHOWN_MAX } from '@sealmesh/protocol/limits'
import type { Handlers } from '../ipc/door.ts'
import { agentName, DIARY_LAYER, originOf, resolveUmr, type ServiceContext } from './context.ts'
import { write } from './items.ts'

/** Registers that were written on two machines without either knowing of the other. */
export function conflictHandlers(
  context: ServiceContext,
): Pick<Handlers, 'conflicts.ls' | 'conflicts.show' | 'conflicts.keep'> {
  return {
    'conflicts.ls': async ({ agent }) => {
      const mesh = context.log.mesh
      const conflicts: { umr: string; siblings: number }[] = []
      for (const name of context.documents.names()) {
        const owner = agentName(mesh, name.agent)
        if (name.layer === DIARY_LAYER || (agent !== undefined && owner !== agent)) continue
        const document = await context.documents.open(name)
        for (const key of document.conflicted())
          conflicts.push({ umr: `${owner}.${name.layer}.${key}`, siblings: document.siblings(key).length })
      }
      return { conflicts: conflicts.sort((a, b) => (a.umr < b.umr ? -1 : 1)) }
    },

    'conflicts.show': async ({ umr }) => {
      const target = resolveUmr(context.log.mesh, umr)
      const document = await context.documents.open(target.document)
      const siblings = document.siblings(target.umr.id)
      if (siblings.length === 0) throw new Failure('ITEM_NOT_FOUND', `${target.text} is not there.`)
      return {
        umr: target.text,
        siblings: siblings.slice(0, SIBLINGS_SHOWN_MAX).map((entry, at) => ({
          value: entry.value ?? null,
          origin: originOf(context.log.mesh, entry),
          winner: at === 0,
        })),
      }
    },

    'conflicts.keep': async ({ umr, write: chosen }) => {
      const target = resolveUmr(context.log.mesh, umr)
      const document = await context.documents.open(target.document)
      const matching = document
        .siblings(target.umr.id)
        .filter((entry) => chosen !== '' && entry.dot.hash.startsWith(chosen))
      const [entry, ...more] = matching
      if (entry === undefined || more.length > 0)
        throw new Failure('CONFLICT_NOT_FOUND', `${target.text} has no single value whose write begins with that.`, {
          next: `sealmesh conflicts show ${target.text}`,
        })
      const key = target.umr.id
      // `all` names every sibling: nothing vanishes that the person was not shown.
      if (entry.value === undefined) return write(context, target, { type: 'delete', key, seen: 'all' })
      return write(context, target, { type: 'set', key, value: entry.value, seen: 'all' })
    },
  }
}

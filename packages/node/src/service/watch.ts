import type { Documents } from '../documents/documents.ts'
import type { Handlers } from '../ipc/door.ts'
import { agentName, DIARY_LAYER, iso, meantPrefix, nodeName, type ServiceContext } from './context.ts'

/** Streams what changes, local or from elsewhere, once it is durable here. */
export function watchHandlers(
  context: Pick<ServiceContext, 'log' | 'layers'> & { documents: Pick<Documents, 'onCommit'> },
): Pick<Handlers, 'watch'> {
  return {
    watch: ({ prefix: given }, client) => {
      const prefix = meantPrefix(context, given)
      const stop = context.documents.onCommit(({ name, document, changes, local }) => {
        const mesh = context.log.mesh
        const start = `${agentName(mesh, name.agent)}.${name.layer}.`
        for (const change of changes) {
          const item = change.type === 'text' ? change.name : change.key
          const umr = start + item
          if (!umr.startsWith(prefix)) continue
          const conflict = change.type !== 'text' && document.siblings(item).length > 1
          client.notify({
            umr,
            type: conflict ? 'conflict' : change.type,
            // Diary metadata says that something was written, never what.
            value: change.type === 'set' && name.layer !== DIARY_LAYER ? change.value : null,
            nodeName: nodeName(mesh, change.author),
            at: iso(change.time.wallMs),
            local,
          })
        }
      })
      client.signal.addEventListener('abort', stop, { once: true })
      return {}
    },
  }
}

import { choicesOf } from '@sealmesh/protocol/crdt/choices'
import type { Change, Document } from '@sealmesh/protocol/crdt/document'
import type { WatchEvent } from '@sealmesh/protocol/ipc/methods'
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
      const stop = context.documents.onCommit(({ name, document, blocks, changes, local }) => {
        const mesh = context.log.mesh
        const start = `${agentName(mesh, name.agent)}.${name.layer}.`
        const diary = name.layer === DIARY_LAYER
        const told = new Set<string>()
        const tell = (
          item: string,
          type: WatchEvent['type'],
          value: string | null,
          by: Pick<Change, 'author' | 'time'>,
        ) => {
          told.add(item)
          if (!(start + item).startsWith(prefix)) return
          const [nodeOf, at] = [nodeName(mesh, by.author), iso(by.time.wallMs)]
          client.notify({ umr: start + item, type, value, nodeName: nodeOf, at, local })
        }
        for (const change of changes) {
          const item = change.type === 'text' ? change.name : change.key
          const conflict = change.type !== 'text' && isConflict(document, item)
          // Diary metadata says that something was written, never what.
          tell(item, conflict ? 'conflict' : change.type, change.type === 'set' && !diary ? change.value : null, change)
        }
        if (diary) return
        // What loses against the value that is shown changes nothing to read, and is a conflict all the same.
        for (const { header, writes } of blocks)
          for (const write of writes)
            if (write.type !== 'text' && !told.has(write.key) && isConflict(document, write.key))
              tell(write.key, 'conflict', document.read(write.key)?.value ?? null, header)
      })
      client.signal.addEventListener('abort', stop, { once: true })
      return {}
    },
  }
}

const isConflict = (document: Document, key: string): boolean => {
  const siblings = document.siblings(key)
  return siblings.length > 1 && choicesOf(siblings).length > 1
}

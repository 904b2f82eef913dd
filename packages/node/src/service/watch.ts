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
          if (document.conflicts > 0) told.add(item)
          const umr = start + item
          if (!umr.startsWith(prefix)) return
          client.notify({ umr, type, value, nodeName: nodeName(mesh, by.author), at: iso(by.time.wallMs), local })
        }
        for (const change of changes) {
          const item = change.type === 'text' ? change.name : change.key
          const conflict = change.type !== 'text' && isConflict(document, item)
          // Diary metadata says that something was written, never what.
          tell(item, conflict ? 'conflict' : change.type, change.type === 'set' && !diary ? change.value : null, change)
        }
        if (diary || document.conflicts === 0) return
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
  if (document.conflicts === 0) return false
  const siblings = document.siblings(key)
  return siblings.length > 1 && choicesOf(siblings).length > 1
}

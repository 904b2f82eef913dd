import { Failure } from '@sealmesh/protocol/errors'
import { isName } from '@sealmesh/protocol/ids'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import type { DoorContext } from '../ipc/dispatch.ts'
import type { Handlers } from '../ipc/door.ts'
import type { Editing, LocalEditor, Presence } from '../presence/presence.ts'
import { agentName, DIARY_LAYER, iso, nodeName, resolveUmr, type ServiceContext } from './context.ts'

type Context = ServiceContext & { readonly presence: Presence }

/** Who edits a text now: told by editors, shown to people, stored nowhere. */
export function presenceHandlers(context: Context): Pick<Handlers, 'text.editing' | 'text.who'> {
  const sessions = new WeakMap<DoorContext['signal'], Map<string, LocalEditor>>()
  return {
    'text.editing': ({ umr, agent, cursor, done }, client) => {
      const { text, document, umr: parts } = resolveUmr(context, umr)
      if (document.layer === DIARY_LAYER)
        throw new Failure('DIARY_PRIVATE', 'The diary holds entries, not shared texts.')
      if (agent !== null && !isName(agent)) throw new Failure('NAME_INVALID', "That is not an agent's name.")
      const open = sessions.get(client.signal) ?? new Map<string, LocalEditor>()
      if (!sessions.has(client.signal)) {
        sessions.set(client.signal, open)
        client.signal.addEventListener('abort', () => endAll(open), { once: true })
      }
      if (done) {
        open.get(text)?.end()
        open.delete(text)
      } else {
        let editor = open.get(text)
        if (editor === undefined && !client.signal.aborted) {
          editor = context.presence.begin(document, parts.id, agent)
          if (editor !== undefined) open.set(text, editor)
        }
        if (cursor !== null) editor?.move(cursor)
      }
      return { others: editingNow(context).filter((each) => each.umr === text && !each.here) }
    },

    'text.who': ({ umr }) => {
      const { text } = resolveUmr(context, umr)
      return { editors: editingNow(context).filter((each) => each.umr === text) }
    },
  }
}

/** In the order of their names. */
export function editingNow(context: Pick<Context, 'log' | 'presence'>): MethodResult<'text.who'>['editors'] {
  const { mesh } = context.log
  return context.presence
    .editing()
    .map(({ document, text, agent, node, cursor, here, atMs }: Editing) => ({
      umr: `${agentName(mesh, document.agent)}.${document.layer}.${text}`,
      agent,
      nodeName: nodeName(mesh, node),
      here,
      cursor,
      at: iso(atMs),
    }))
    .toSorted((a, b) => (a.umr + a.nodeName < b.umr + b.nodeName ? -1 : 1))
}

function endAll(open: Map<string, LocalEditor>): void {
  for (const editor of open.values()) editor.end()
  open.clear()
}

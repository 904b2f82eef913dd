import type { EventFeed, Wanted } from '../events/feed.ts'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeEvent } from '@sealmesh/protocol/ipc/methods'
import type { DoorStream } from '../ipc/dispatch.ts'
import type { Handlers } from '../ipc/door.ts'
import { iso } from './context.ts'

/** What one answer holds of the past, and what is sent before the reader's queue is looked at again. */
const EVENTS_AT_ONCE = 1_000

/** Everything that happens, to whoever wants it: as a stream that its reader holds back, or in one answer. */
export function eventHandlers(context: {
  readonly feed: EventFeed
  readonly now: () => number
}): Pick<Handlers, 'events'> {
  const { feed } = context
  const gap = (at: number, lost: number | null): NodeEvent => ({
    cursor: feed.cursorAt(at),
    at: iso(context.now()),
    type: 'gap',
    agent: null,
    layer: null,
    umr: null,
    nodeName: null,
    local: null,
    detail: { lost },
  })
  return {
    events: ({ after, follow, types, agent, layer }, client) => {
      const wanted: Wanted = { types, agent, layer }
      const begin = feed.open(after)
      if (!follow) {
        const events: NodeEvent[] = begin.lost === null ? [gap(begin.at, null)] : []
        let { at } = begin
        while (events.length < EVENTS_AT_ONCE) {
          const next = feed.next(at, wanted)
          if (next.lost > 0) events.push(gap(next.at, next.lost))
          at = next.at
          if (next.event === undefined) break
          events.push(next.event)
        }
        return { cursor: feed.cursorAt(at), events }
      }
      const { stream, signal } = client
      if (stream === undefined) throw new Failure('USAGE', 'Here events can only be read without `follow`.')
      if (begin.lost === null) stream.tell('event', gap(begin.at, null))
      void pump(feed, begin.at, wanted, { stream, signal }, gap)
      return { cursor: feed.cursorAt(begin.at), events: [] }
    },
  }
}

/** Goes on when there is news and room for it; never rejects. */
async function pump(
  feed: EventFeed,
  from: number,
  wanted: Wanted,
  { stream, signal }: { readonly stream: DoorStream; readonly signal: AbortSignal },
  gap: (at: number, lost: number | null) => NodeEvent,
): Promise<void> {
  let at = from
  let wake: () => void = () => undefined
  const stop = feed.onMore(() => wake())
  signal.addEventListener('abort', () => wake(), { once: true })
  while (!signal.aborted) {
    let sent = 0
    let idle = false
    while (!idle && sent++ < EVENTS_AT_ONCE && stream.hasRoom()) {
      const next = feed.next(at, wanted)
      if (next.lost > 0) stream.tell('event', gap(next.at, next.lost))
      at = next.at
      if (next.event === undefined) idle = true
      else stream.tell('event', next.event)
    }
    if (idle) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    } else await stream.room()
  }
  stop()
}

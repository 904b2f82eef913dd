import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import type { Handlers } from '../ipc/door.ts'
import { iso } from '../service/context.ts'
import { isReached, settledOf } from './core/settled.ts'
import type { TraceEntry, TraceEvent } from './core/trace-book.ts'
import type { Trace } from './trace.ts'

export type TraceHandlers = Pick<Handlers, 'messages.trace' | 'messages.settled'>
type Traced = MethodResult<'messages.trace'>['messages'][number]

/** What the owner may know of the way of messages. */
export function traceHandlers(trace: Trace): TraceHandlers {
  return {
    'messages.trace': ({ id }) => ({
      messages: trace.find(id).map(
        ({ id: of, head, entries }): Traced => ({
          id: of,
          from: head?.from ?? null,
          to: head?.to ?? null,
          type: head?.type ?? null,
          correlation: head?.correlation ?? null,
          parents: [...(head?.parents ?? [])],
          entries: entries.map(({ atMs, event, machine, agent, to }) => ({ at: iso(atMs), event, machine, agent, to })),
        }),
      ),
    }),

    'messages.settled': async ({ id, level, waitMs }, { signal }) => {
      const events: Pick<TraceEntry, 'event'>[] = []
      let wake = (): void => undefined
      // From before the look at what was: nothing falls in between.
      const stop = trace.onNote((event: TraceEvent, letter) => {
        if (letter.id !== id) return
        events.push({ event })
        wake()
      })
      try {
        events.push(...(trace.find(id).find((each) => each.id === id)?.entries ?? []))
        const endMs = performance.now() + waitMs
        for (;;) {
          const state = settledOf(events)
          const leftMs = endMs - performance.now()
          if (isReached(state, level) || leftMs <= 0 || signal.aborted) return { state }
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, leftMs)
            wake = () => {
              clearTimeout(timer)
              resolve()
            }
            signal.addEventListener('abort', wake, { once: true })
          })
        }
      } finally {
        stop()
      }
    },
  }
}

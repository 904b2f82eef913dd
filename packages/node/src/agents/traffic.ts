import { Failure } from '@sealmesh/protocol/errors'
import type { Handlers } from '../ipc/door.ts'
import { type Traffic, TRAFFIC_SECONDS } from './core/traffic.ts'
import type { Desk } from './desk.ts'
import type { MessageLogs } from './message-logs.ts'
import type { PostWatch } from './post.ts'
import type { Roster } from './roster.ts'

interface WatchDeps {
  readonly traffic: Traffic
  readonly logs: Pick<MessageLogs, 'sent' | 'done' | 'fault'>
}

/** Counts what passes, for `sealmesh top`, and notes it in the logs. */
export const watchPost = ({ traffic, logs }: WatchDeps): PostWatch => ({
  sent: (sender, letter, sent, { monotonicMs, wallMs }) => {
    if (sender !== undefined) traffic.sent(sender.id, monotonicMs)
    logs.sent(letter, sent, wallMs)
  },
  handed: (seat, tookMs, { monotonicMs }) => traffic.handed(seat.id, tookMs, monotonicMs),
  done: (seat, { letter, handedMs }, tookMs, { monotonicMs, wallMs }) => {
    traffic.done(tookMs, monotonicMs)
    logs.done(letter, seat.agent.name, { handedMs: handedMs ?? 0, doneMs: tookMs }, wallMs)
  },
  refused: (sender, { to, type, id }, error) =>
    logs.fault({
      code: error instanceof Failure ? error.code : 'INTERNAL',
      from: sender.agent.name,
      to,
      type,
      ...(id === undefined ? {} : { id }),
    }),
})

interface TrafficDeps {
  readonly traffic: Traffic
  readonly roster: Roster
  readonly desk: Desk
  readonly monotonicMs: () => number
}

export type TrafficHandlers = Pick<Handlers, 'messages.traffic'>

export const trafficHandlers = ({ traffic, roster, desk, monotonicMs }: TrafficDeps): TrafficHandlers => ({
  'messages.traffic': () => {
    const nowMs = monotonicMs()
    return {
      seconds: TRAFFIC_SECONDS,
      ...traffic.view(nowMs),
      agents: [...roster.everyone()].map((seat) => ({
        ...desk.view(seat),
        ...traffic.of(seat.id, nowMs),
        waiting: seat.inbox.letters,
        inboxBytes: seat.inbox.bytes,
      })),
    }
  },
})

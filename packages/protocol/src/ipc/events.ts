import { z } from 'zod'
import { AgentNews } from './agent-door-methods.ts'
import { WaitProgress } from './knowing.ts'
import { Iso, Name } from './shapes.ts'

/** What happens on a node, and the method that tells it. */

const EVENT_TYPES = [
  'write',
  'conflict',
  'late',
  'set-aside',
  'held',
  'refused',
  'peer',
  'relay',
  'machine',
  'hosts',
  'grant',
  'ungrant',
  'takeover',
  'act-gained',
  'act-lost',
  'takeover-proposed',
  'takeover-blocked',
  'rolled-back',
  'copied',
  'withheld',
  'forked',
  'compaction',
  'caught-up',
  'scrub',
  'folder',
  'gap',
] as const
const NodeEventType = z.enum(EVENT_TYPES)
export type NodeEventType = z.infer<typeof NodeEventType>
/** Something that happened on this node; `detail` depends on the type (docs/spec/06-local-socket.md §9). */
const NodeEvent = z.object({
  /** Hand it back as `after` to go on behind this event. */
  cursor: z.string(),
  at: Iso,
  type: NodeEventType,
  agent: z.string().nullable(),
  layer: z.string().nullable(),
  umr: z.string().nullable(),
  /** The machine that did it, where one did. */
  nodeName: z.string().nullable(),
  local: z.boolean().nullable(),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
})
export type NodeEvent = z.infer<typeof NodeEvent>

export const events = {
  /**
   * What happens on this node. With `follow` it starts a stream of `event` notifications on this connection; without,
   * the answer holds up to a thousand events after the cursor. A cursor is good for the run of the node that gave it.
   */
  events: {
    params: z.object({
      after: z.string().max(64).optional(),
      follow: z.boolean().default(true),
      types: z.array(NodeEventType).optional(),
      agent: Name.optional(),
      layer: Name.optional(),
    }),
    result: z.object({ cursor: z.string(), events: z.array(NodeEvent) }),
  },
} as const

/** What the node says unasked on a connection that has started a stream or waits. */
export const notifications = { event: NodeEvent, 'wait.progress': WaitProgress, agent: AgentNews } as const
export type NotificationName = keyof typeof notifications
export type Notification<N extends NotificationName> = z.infer<(typeof notifications)[N]>

import { z } from 'zod'
import { HOPS_MAX, PARENTS_MAX } from '../messages/limits.ts'
import { AgentAddress, Message, MessageId, MessageType, Payload, Priority, Recipient } from '../messages/message.ts'
import { AgentView, Profile, ProfileChange } from '../messages/profile.ts'
import { Iso, Json, Name, Nothing, Umr, WholeText } from './shapes.ts'

/**
 * Every method of the agents' door (docs/spec/16-agents.md): what an attached program may ask of the node. `as` is the
 * handle that `attach` gave on this connection; one connection may carry many agents.
 */

const As = z.number().int().min(1)
const Limit = z.number().int().min(1).max(1_000)
/** What a token may allow beyond being there; least rights: what is not named is refused. */
export const RIGHTS = ['read', 'write', 'send', 'receive', 'list'] as const
export const Right = z.enum(RIGHTS)
export type Right = z.infer<typeof Right>

/** A message with its place in this agent's inbox: acknowledging a place acknowledges all before it. */
export const Delivery = z.object({ place: z.number().int(), message: Message })
export type Delivery = z.infer<typeof Delivery>

const Item = z.object({
  umr: Umr,
  type: z.enum(['register', 'text', 'diary']),
  /** JSON text of a register, or the text of a text or of a diary entry. */
  value: z.string(),
  at: Iso.nullable(),
  nodeName: z.string().nullable(),
})

export const agentMethods = {
  hello: {
    params: z.object({ version: z.number().int(), framing: z.enum(['lines', 'compact']).default('lines') }),
    result: z.object({
      version: z.number().int(),
      node: z.string(),
      nodeName: z.string(),
      framing: z.enum(['lines', 'compact']),
    }),
  },
  attach: {
    params: z.object({
      token: z.string().max(128),
      profile: Profile.default(() => Profile.parse({})),
      pid: z.number().int().nullable().default(null),
      /**
       * `push`: deliveries come as `message` notifications; `pull`: they wait for `inbox.take`. `none`: whoever else is
       * this agent reads its messages; any number may attach so beside it, and others do not see them.
       */
      inbox: z.enum(['push', 'pull', 'none']).default('push'),
    }),
    result: z.object({ as: As, name: Name, agent: z.string(), rights: z.array(Right) }),
  },
  detach: { params: z.object({ as: As }), result: Nothing },
  /** Says how it is now; also the heartbeat. What is left out stays as it was. */
  'profile.set': { params: z.object({ as: As, profile: ProfileChange }), result: Nothing },

  /** How the mesh is, as far as an agent needs it to judge what it reads. */
  status: {
    params: z.object({ as: As }),
    result: z.object({
      nodeName: z.string(),
      meshName: z.string(),
      summary: z.enum(['in sync', 'syncing', 'alone', 'cut off']),
      machines: z.array(z.object({ name: z.string(), state: z.string(), lastHeardAt: Iso.nullable() })),
      /** Codes of docs/errors.md. */
      warnings: z.array(z.string()),
    }),
  },
  'agents.ls': {
    params: z.object({ as: As, capability: z.string().max(64).optional(), role: z.string().max(64).optional() }),
    result: z.object({ agents: z.array(AgentView) }),
  },
  /** Starts `agent` notifications: who comes, changes and goes, of those that it may list. */
  'agents.watch': { params: z.object({ as: As }), result: z.object({ agents: z.array(AgentView) }) },

  send: {
    params: z.object({
      as: As,
      to: Recipient,
      type: MessageType,
      payload: Payload.default(null),
      priority: Priority.default(1),
      /** The same id again, from the same sender, is one message. The node makes one where there is none. */
      id: MessageId.optional(),
      correlation: MessageId.nullable().default(null),
      parents: z.array(MessageId).max(PARENTS_MAX).default([]),
      /** Of the message that caused this one, plus one. */
      hops: z.number().int().min(0).max(HOPS_MAX).default(0),
      /** Milliseconds from now. */
      expiresMs: z.number().int().min(1).optional(),
      /** On disk here before this is answered, and until its recipient has acknowledged it. */
      durable: z.boolean().default(false),
    }),
    /**
     * How many got it at once, for how many it waits, and how many had no room for it: one that is full keeps nothing
     * from the others.
     */
    result: z.object({
      id: MessageId,
      delivered: z.number().int(),
      waiting: z.number().int(),
      refused: z.number().int(),
    }),
  },
  'topics.join': { params: z.object({ as: As, topic: Name }), result: Nothing },
  'topics.leave': { params: z.object({ as: As, topic: Name }), result: Nothing },
  /** Up to `limit` messages, the most urgent first; waits for the first one, at most so long. */
  'inbox.take': {
    params: z.object({ as: As, limit: Limit.default(32), waitMs: z.number().int().min(0).max(60_000).default(0) }),
    result: z.object({ deliveries: z.array(Delivery), left: z.number().int() }),
  },
  /** It has done with everything up to this place. What is not acknowledged comes again with the next `attach`. */
  'inbox.ack': { params: z.object({ as: As, place: z.number().int() }), result: Nothing },
  /** What this agent has sent and got, the latest first. */
  history: {
    params: z.object({
      as: As,
      from: AgentAddress.optional(),
      to: Recipient.optional(),
      type: MessageType.optional(),
      correlation: MessageId.optional(),
      limit: Limit.default(100),
    }),
    result: z.object({ messages: z.array(Message) }),
  },

  'memory.get': { params: z.object({ as: As, umr: Umr }), result: z.object({ item: Item.nullable() }) },
  /** In the order of their UMRs. `after`: goes on behind this one. `values`: with what they hold, as far as a line goes. */
  'memory.ls': {
    params: z.object({
      as: As,
      prefix: z.string().max(700).default(''),
      after: z.string().max(700).default(''),
      values: z.boolean().default(false),
      limit: Limit.default(100),
    }),
    result: z.object({ items: z.array(Item.extend({ value: z.string().nullable() })), truncated: z.boolean() }),
  },
  'memory.set': { params: z.object({ as: As, umr: Umr, value: Json }), result: z.object({ write: z.string() }) },
  /** Makes a text read so, by the smallest edit from what is there. */
  'memory.text': { params: z.object({ as: As, umr: Umr, text: WholeText }), result: z.object({ write: z.string() }) },
  'memory.rm': { params: z.object({ as: As, umr: Umr }), result: z.object({ write: z.string() }) },
  /** Full text over what it may read: all words, best match first. */
  'memory.search': {
    params: z.object({
      as: As,
      words: z.string().min(1).max(512),
      prefix: z.string().max(700).default(''),
      limit: Limit.default(20),
    }),
    result: z.object({ hits: z.array(Item.extend({ score: z.number() })) }),
  },
  /** Which machine has which version of an item, what is missing where, and why. */
  'memory.why': {
    params: z.object({ as: As, umr: Umr }),
    result: z.object({
      machines: z.array(
        z.object({
          nodeName: z.string(),
          here: z.boolean(),
          /** Of the layer, as this machine knows it: `same`, `older`, `newer`, … */
          has: z.string(),
          why: z.string(),
        }),
      ),
    }),
  },
  /** Starts `memory` notifications for what changes below a prefix. */
  'memory.watch': { params: z.object({ as: As, prefix: z.string().max(700) }), result: Nothing },
} as const

export type AgentMethodName = keyof typeof agentMethods
export type AgentMethodInput<M extends AgentMethodName> = z.input<(typeof agentMethods)[M]['params']>
export type AgentMethodParams<M extends AgentMethodName> = z.infer<(typeof agentMethods)[M]['params']>
export type AgentMethodResult<M extends AgentMethodName> = z.infer<(typeof agentMethods)[M]['result']>

/** What the node says unasked on the agents' door. */
export const agentNotifications = {
  message: Delivery.extend({ as: As }),
  agent: z.object({ as: As, event: z.enum(['arrived', 'changed', 'left']), agent: AgentView }),
  /** One of its messages ended on its way to a recipient. What waits too long for a program to read these is left out. */
  undelivered: z.object({
    as: As,
    id: MessageId,
    /** Null where it is about all recipients. */
    agent: z.string().nullable(),
    /** The other machine that it was sent to. */
    machine: z.string().nullable(),
    /** `refused` there, or by the log; `expired`; `dropped`: nobody may be that agent there any more. */
    reason: z.enum(['refused', 'expired', 'dropped']),
  }),
  memory: z.object({
    as: As,
    /** As the watch named it: there a region or an alias may stand where `umr` has the layer's own name. */
    prefix: z.string(),
    umr: Umr,
    type: z.enum(['set', 'delete', 'text']),
    value: z.string().nullable(),
    at: Iso,
  }),
} as const
export type AgentNotificationName = keyof typeof agentNotifications
export type AgentNotification<N extends AgentNotificationName> = z.infer<(typeof agentNotifications)[N]>

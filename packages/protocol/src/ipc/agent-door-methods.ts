import { z } from 'zod'
import { HOPS_MAX, PARENTS_MAX } from '../messages/limits.ts'
import { AgentView, ProfileChange } from '../messages/profile.ts'
import { AgentAddress, Message, MessageId, MessageType, Payload, Priority, Recipient } from '../messages/message.ts'
import { Delivery, Right } from './agent-methods.ts'
import { Iso, Name, Nothing } from './shapes.ts'

/** 0: only is the agent from now on. */
const Limit = z.number().int().min(0).max(1_000)
const Wait = z.number().int().min(0).max(60_000).default(0)

const Rates = { sentPerSecond: z.number(), deliveredPerSecond: z.number() }
const Quantiles = z.object({ p50: z.number().nullable(), p99: z.number().nullable() })

/** What the owner may do with the agents' door (docs/spec/16-agents.md §1). */
export const agentDoorMethods = {
  /** `make` where there is none; `rotate` ends the old one and whoever is attached by it; `revoke` ends it for good. */
  'agents.token': {
    params: z
      .object({
        name: Name,
        /** `check`: nothing is done; AGENT_TOKEN_INVALID where `only` lets nobody attach as that agent. */
        action: z.enum(['make', 'rotate', 'revoke', 'check']).default('make'),
        rights: z.array(Right).max(8).optional(),
        /** Of `revoke` and `check`: this token, and no other that the agent may have got since. */
        only: z.string().max(200).optional(),
      })
      .refine(({ action, only }) => action !== 'check' || only !== undefined, 'Which token is checked'),
    /** The token is told here, once, and kept nowhere. */
    result: z.object({ name: Name, token: z.string().nullable(), rights: z.array(Right) }),
  },
  'agents.tokens': {
    params: Nothing,
    result: z.object({
      tokens: z.array(
        z.object({ name: Name, agent: z.string(), rights: z.array(Right), madeAt: Iso, attached: z.boolean() }),
      ),
    }),
  },
  'agents.here': { params: Nothing, result: z.object({ agents: z.array(AgentView) }) },
  /** On every machine that tells this one: docs/spec/16-agents.md §2.1. */
  'agents.attached': { params: Nothing, result: z.object({ agents: z.array(AgentView) }) },
  /** The same, and starts `agent` notifications on this connection: who comes, changes and goes, on any of them. */
  'agents.watch': { params: Nothing, result: z.object({ agents: z.array(AgentView) }) },
  /** Sends in an agent's name: `as`, or the one agent that has a token on this node. */
  'messages.send': {
    params: z.object({
      as: Name.optional(),
      to: Recipient,
      type: MessageType,
      payload: Payload.default(null),
      priority: Priority.default(1),
      durable: z.boolean().default(false),
      /** The same id again, from the same sender, is one message. */
      id: MessageId.optional(),
      correlation: MessageId.nullable().default(null),
      parents: z.array(MessageId).max(PARENTS_MAX).default([]),
      hops: z.number().int().min(0).max(HOPS_MAX).default(0),
      /** Milliseconds from now. */
      expiresMs: z.number().int().min(1).optional(),
    }),
    result: z.object({
      id: MessageId,
      /** Whose name it was. */
      as: Name,
      delivered: z.number().int(),
      waiting: z.number().int(),
      refused: z.number().int(),
    }),
  },
  /** Is that agent until the connection ends, and hands out what waits; refused while a program is that agent. */
  'messages.take': {
    params: z.object({
      as: Name.optional(),
      limit: Limit.default(32),
      waitMs: Wait,
      /** What it says that it can do; as it was before, when absent. */
      capabilities: ProfileChange.shape.capabilities,
    }),
    result: z.object({ as: Name, deliveries: z.array(Delivery), left: z.number().int() }),
  },
  /** What `messages.take` handed out up to this place is done with. */
  'messages.ack': { params: z.object({ as: Name, place: z.number().int() }), result: Nothing },
  /** What happened to a message, to what caused it and to what answers it, as far as this machine knows. */
  'messages.trace': {
    params: z.object({ id: MessageId }),
    result: z.object({
      messages: z.array(
        z.object({
          id: MessageId,
          /** These are null where this machine knows only what became of it. */
          from: AgentAddress.nullable(),
          to: Recipient.nullable(),
          type: MessageType.nullable(),
          correlation: MessageId.nullable(),
          parents: z.array(MessageId),
          entries: z.array(
            z.object({
              /** By the clock of `machine`. */
              at: Iso,
              event: z.string(),
              machine: z.string(),
              /** The recipient that it is about. */
              agent: z.string().nullable(),
              /** The machine that it was sent to. */
              to: z.string().nullable(),
            }),
          ),
        }),
      ),
    }),
  },
  /** Waits until a message to one agent has come so far, or will come no further. */
  'messages.settled': {
    params: z.object({ id: MessageId, level: z.enum(['taken', 'acknowledged']), waitMs: Wait }),
    result: z.object({ state: z.enum(['waiting', 'taken', 'acknowledged', 'refused', 'expired', 'dropped']) }),
  },
  /**
   * Waits for a message that answers another one, or is of one type, and takes it alone; null when none has come. `asked`:
   * whom the other one went to; where that is one agent, only its messages are meant.
   */
  'messages.answer': {
    params: z
      .object({
        as: Name,
        to: MessageId.optional(),
        type: MessageType.optional(),
        asked: Recipient.optional(),
        waitMs: Wait,
      })
      .refine(({ to, type }) => to !== undefined || type !== undefined, 'What it answers, or its type'),
    result: z.object({ message: Message.nullable() }),
  },
  /** Is that agent no more, and waits for nothing more as it; without this, when the connection ends. */
  'messages.leave': { params: z.object({ as: Name }), result: Nothing },
  /** The last ten seconds: messages, how long they took (milliseconds), and what waits. Rates are per second. */
  'messages.traffic': {
    params: Nothing,
    result: z.object({
      seconds: z.number().int(),
      ...Rates,
      handedMs: Quantiles,
      doneMs: Quantiles,
      agents: z.array(AgentView.extend({ ...Rates, waiting: z.number().int(), inboxBytes: z.number().int() })),
    }),
  },
  /** What that agent has sent and got in this run of the node, the latest first. */
  'messages.history': {
    params: z.object({
      as: Name.optional(),
      from: AgentAddress.optional(),
      to: Recipient.optional(),
      type: MessageType.optional(),
      correlation: MessageId.optional(),
      limit: z.number().int().min(1).max(1_000).default(100),
    }),
    result: z.object({ as: Name, messages: z.array(Message) }),
  },
} as const

export const AgentNews = z.object({ event: z.enum(['arrived', 'changed', 'left']), agent: AgentView })

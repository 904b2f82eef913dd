import { Failure } from '@sealmesh/protocol/errors'
import type { AgentId } from '@sealmesh/protocol/ids'
import { RIGHTS } from '@sealmesh/protocol/ipc/agent-methods'
import type { DoorContext } from '../ipc/dispatch.ts'
import type { Handlers } from '../ipc/door.ts'
import { payloadText } from './core/payload.ts'
import type { Desk } from './desk.ts'
import type { Post } from './post.ts'
import type { Roster } from './roster.ts'
import type { Attachment, Seat } from './seat.ts'

export interface OwnerLettersDeps {
  readonly desk: Desk
  readonly post: Post
  readonly roster: Roster
}

type LetterMethods = `messages.${'send' | 'take' | 'ack' | 'answer' | 'leave' | 'history'}`
export type OwnerLetterHandlers = Pick<Handlers, LetterMethods>

/** Messages that the owner sends and reads in the name of an agent of this machine. */
export function ownerLetterHandlers({ desk, post, roster }: OwnerLettersDeps): OwnerLetterHandlers {
  const held = new WeakMap<DoorContext, Map<AgentId, Attachment>>()

  /** The owner is the agent, as long as his connection lasts; a program that is it already stays it. */
  const asAgent = (client: DoorContext, seat: Seat, capabilities?: readonly string[]): Attachment => {
    const own = held.get(client) ?? new Map<AgentId, Attachment>()
    held.set(client, own)
    const known = own.get(seat.id)
    if (known !== undefined && !known.signal.aborted) return known
    const can = capabilities === undefined ? {} : { profile: { ...seat.profile, capabilities: [...capabilities] } }
    const attachment = desk.admit(client, seat, { rights: RIGHTS, pid: null, inbox: 'pull', ...can })
    own.set(seat.id, attachment)
    return attachment
  }

  return {
    'messages.send': async ({ as, payload, ...draft }) => {
      const seat = seatOf(roster, as)
      const sent = await post.send(seat, draft, payloadText(payload))
      return { ...sent, as: seat.agent.name }
    },
    'messages.take': async ({ as, limit, waitMs, capabilities }, client) => {
      const seat = seatOf(roster, as)
      return { as: seat.agent.name, ...(await post.take(asAgent(client, seat, capabilities), limit, waitMs)) }
    },
    'messages.ack': async ({ as, place }, client) => {
      const seat = seatOf(roster, as)
      // What another connection was handed is not for this one to end.
      if (held.get(client)?.get(seat.id)?.signal.aborted !== false)
        throw new Failure('NOT_ATTACHED', `This connection has taken no messages of ${seat.agent.name}.`)
      await post.acknowledge(seat, place)
      return {}
    },
    'messages.answer': async ({ as, to, type, asked, waitMs }, client) => ({
      message: (await post.answer(asAgent(client, seatOf(roster, as)), { to, type, asked }, waitMs)) ?? null,
    }),
    'messages.leave': ({ as }, client) => {
      const { id } = seatOf(roster, as)
      const attachment = held.get(client)?.get(id)
      held.get(client)?.delete(id)
      if (attachment !== undefined) desk.detach(attachment)
      return {}
    },
    'messages.history': ({ as, ...filter }) => {
      const seat = seatOf(roster, as)
      return { as: seat.agent.name, messages: seat.past.find(filter) }
    },
  }
}

/** The agent that is named, or the only one that may be here. */
function seatOf(roster: Roster, as: string | undefined): Seat {
  const seats = [...roster.everyone()]
  const named = as === undefined ? seats : seats.filter(({ agent }) => agent.name === as)
  const [seat] = named
  if (seat === undefined)
    throw new Failure(
      'AGENT_TOKEN_INVALID',
      `No ${as === undefined ? 'agent' : 'such agent'} has a token on this node.`,
      {
        next: `sealmesh agents token ${as ?? 'NAME'}`,
      },
    )
  if (named.length > 1)
    throw new Failure('USAGE', 'Several agents have a token on this node.', { next: 'name one of them: --as NAME' })
  return seat
}

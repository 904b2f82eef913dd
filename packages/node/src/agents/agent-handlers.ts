import { Failure } from '@sealmesh/protocol/errors'
import { formatId, type NodeId } from '@sealmesh/protocol/ids'
import type { agentMethods, AgentNotification, AgentNotificationName } from '@sealmesh/protocol/ipc/agent-methods'
import type { WatchEvent } from '@sealmesh/protocol/ipc/methods'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { AgentView } from '@sealmesh/protocol/messages/profile'
import { AGENT_DOOR_VERSION } from '@sealmesh/protocol/version'
import type { DoorContext, Handlers, HandlersOf } from '../ipc/dispatch.ts'
import { payloadText } from './core/payload.ts'
import { mayAddress, type Talk } from './core/who.ts'
import { mayGo } from './core/far.ts'
import type { Desk } from './desk.ts'
import type { FarAgent, FarRoster } from './far-roster.ts'
import type { AgentLimits } from './limits.ts'
import { type Memory, NOBODY } from './memory.ts'
import type { Post } from './post.ts'
import type { Roster } from './roster.ts'
import type { Attachment, Seat } from './seat.ts'

export interface AgentServices {
  readonly node: NodeId
  readonly nodeName: () => string
  readonly desk: Desk
  readonly post: Post
  readonly roster: Roster
  readonly farRoster: FarRoster
  readonly mesh: () => Mesh
  readonly memory: Memory
  readonly talk: () => Talk
  readonly limits: AgentLimits
  /** What the owner's door says, of which agents are told a part. */
  readonly owners: Pick<Handlers, 'status' | 'why'>
}

/** Every method of the agents' door. Whoever calls has shown a token, and what it may do is asked at each call. */
export function agentHandlersOf(services: AgentServices): HandlersOf<typeof agentMethods> {
  const { desk, post, farRoster, memory, limits, owners } = services
  const addressOf = ({ agent }: Seat): string => `${agent.name}@${services.nodeName()}`
  return {
    hello: ({ version, framing }, { stream }) => {
      if (version !== AGENT_DOOR_VERSION)
        throw new Failure('VERSION_MISMATCH', `This node speaks version ${AGENT_DOOR_VERSION} of the agents' door.`)
      if (framing === 'compact') stream?.compact?.begin()
      return {
        version: AGENT_DOOR_VERSION,
        node: formatId('node', services.node),
        nodeName: services.nodeName(),
        framing: stream?.compact?.isOn() === true ? 'compact' : 'lines',
      }
    },

    attach: (params, client) => {
      const { as, seat, rights } = desk.attach(client, params)
      // Behind the answer, which says under which handle they come.
      setImmediate(() => post.pump(seat))
      return { as, name: seat.agent.name, agent: formatId('agent', seat.id), rights: [...rights] }
    },
    detach: ({ as }, client) => {
      const attachment = desk.caller(client, as)
      if (attachment.inbox !== 'none') attachment.seat.topics.clear()
      desk.detach(attachment)
      return {}
    },
    'profile.set': ({ as, profile }, client) => {
      desk.describe(desk.caller(client, as), profile)
      return {}
    },

    status: async ({ as }, client) => {
      desk.caller(client, as, 'list')
      const { node, mesh, summary, peers, warnings } = await owners.status({}, NOBODY)
      return {
        nodeName: node.name,
        meshName: mesh.name,
        summary,
        machines: peers.map(({ name, state, lastHeardAt }) => ({ name, state, lastHeardAt })),
        warnings: warnings.map(({ code }) => code),
      }
    },
    'agents.ls': ({ as, capability, role }, client) => {
      const wanted = (view: AgentView): boolean =>
        (capability === undefined || view.capabilities.includes(capability)) &&
        (role === undefined || view.role === role)
      return { agents: listed(services, desk.caller(client, as, 'list').seat).filter(wanted) }
    },
    'agents.watch': ({ as }, client) => {
      const attachment = desk.caller(client, as, 'list')
      watching(attachment, limits)
      const stop = desk.onNews((event, seat) => {
        // Of itself only who is the agent beside another program, and may take its place when it leaves.
        if (seat.id === attachment.seat.id && attachment.inbox !== 'none') return
        if (!mayAddress(attachment.seat.id, seat.agent, services.talk())) return
        tell(client, 'agent', { as, event, agent: desk.view(seat) })
      })
      const stopFar = farRoster.onNews((event, far) => {
        if (far.agent === attachment.seat.id || !isFarListed(services, attachment.seat, far)) return
        tell(client, 'agent', { as, event, agent: farRoster.view(far) })
      })
      for (const each of [stop, stopFar]) attachment.signal.addEventListener('abort', each, { once: true })
      return { agents: listed(services, attachment.seat) }
    },

    send: (draft, client) => post.send(desk.caller(client, draft.as, 'send').seat, draft, payloadText(draft.payload)),
    'topics.join': ({ as, topic }, client) => {
      const { topics } = desk.caller(client, as, 'receive').seat
      if (topics.size >= limits.topicsPerAgent && !topics.has(topic))
        throw new Failure('AGENT_LIMIT', `An agent hears ${limits.topicsPerAgent} topics.`)
      topics.add(topic)
      return {}
    },
    'topics.leave': ({ as, topic }, client) => {
      desk.caller(client, as, 'receive').seat.topics.delete(topic)
      return {}
    },
    'inbox.take': ({ as, limit, waitMs }, client) => {
      const attachment = desk.caller(client, as, 'receive')
      if (attachment.inbox !== 'pull')
        throw new Failure('USAGE', 'This agent gets its messages as they come.', {
          next: 'attach with "inbox":"pull" to take them',
        })
      return post.take(attachment, limit, waitMs)
    },
    'inbox.ack': async ({ as, place }, client) => {
      await post.acknowledge(desk.caller(client, as, 'receive').seat, place)
      return {}
    },
    history: ({ as, ...filter }, client) => {
      const { seat, rights } = desk.caller(client, as)
      const own = (from: string | undefined): boolean =>
        from === undefined || from === seat.agent.name || from === addressOf(seat)
      if (rights.has('receive')) return { messages: seat.past.find(filter) }
      // Others wrote to a program that might read it.
      return { messages: own(filter.from) ? seat.past.find({ ...filter, from: addressOf(seat) }) : [] }
    },

    'memory.get': async ({ as, umr }, client) => ({ item: await memory.get(readerOf(desk, client, as), umr) }),
    'memory.ls': ({ as, ...what }, client) => memory.list(readerOf(desk, client, as), what),
    'memory.set': ({ as, umr, value }, client) => memory.set(desk.caller(client, as, 'write').seat.id, umr, value),
    'memory.text': ({ as, umr, text }, client) => memory.putText(desk.caller(client, as, 'write').seat.id, umr, text),
    'memory.why': ({ as, umr }, client) => memory.why(readerOf(desk, client, as), umr, owners),
    'memory.rm': ({ as, umr }, client) => memory.remove(desk.caller(client, as, 'write').seat.id, umr),
    'memory.search': async ({ as, words, prefix, limit }, client) => ({
      hits: await memory.search(readerOf(desk, client, as), words, prefix, limit),
    }),
    'memory.watch': ({ as, prefix }, client) => {
      const attachment = desk.caller(client, as, 'read')
      watching(attachment, limits)
      memory.watch(attachment.seat.id, prefix, attachment.signal, (event) =>
        tell(client, 'memory', { as, prefix, ...changeOf(event) }),
      )
      return {}
    },
  }
}

const readerOf = (desk: Desk, client: DoorContext, as: number) => desk.caller(client, as, 'read').seat.id

/** Whom an agent may see: those that it may write to, and itself. Who is attached elsewhere is not shown as away here. */
function listed(services: AgentServices, caller: Seat): AgentView[] {
  const { roster, farRoster, desk, talk } = services
  const far = farRoster.all().filter((each) => isFarListed(services, caller, each))
  const near = [...roster.everyone()].filter(
    (seat) =>
      mayAddress(caller.id, seat.agent, talk()) && (seat.attached || !far.some(({ agent }) => agent === seat.id)),
  )
  return [...near.map((seat) => desk.view(seat)), ...far.map((each) => farRoster.view(each))]
}

const isFarListed = ({ mesh, node }: AgentServices, { id }: Seat, far: FarAgent): boolean =>
  mayGo(mesh(), id, node, far.agent, far.node)

function watching(attachment: Attachment, { watchesPerAgent }: AgentLimits): void {
  if (attachment.watches >= watchesPerAgent)
    throw new Failure('AGENT_LIMIT', `An agent watches ${watchesPerAgent} things at a time.`)
  attachment.watches += 1
}

const tell = <N extends AgentNotificationName>(client: DoorContext, name: N, params: AgentNotification<N>): void =>
  client.stream?.tellText(name, JSON.stringify(params))

/** A conflict is a change like any other to who only wants to know what it reads as now. */
const changeOf = ({ umr, type, value, at }: WatchEvent): Omit<AgentNotification<'memory'>, 'as' | 'prefix'> => ({
  umr,
  type: type === 'conflict' ? 'set' : type,
  value,
  at,
})

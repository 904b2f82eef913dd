import { Failure } from '@sealmesh/protocol/errors'
import { formatId } from '@sealmesh/protocol/ids'
import { RIGHTS } from '@sealmesh/protocol/ipc/agent-methods'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { Handlers } from '../ipc/door.ts'
import { agentNamed, iso, type ServiceContext } from '../service/context.ts'
import type { Desk } from './desk.ts'
import type { FarRoster } from './far-roster.ts'
import type { Post } from './post.ts'
import type { Roster } from './roster.ts'
import type { Tokens } from './tokens.ts'

export interface OwnerServices extends Pick<ServiceContext, 'log' | 'node' | 'now'> {
  readonly desk: Desk
  readonly post: Post
  readonly roster: Roster
  readonly farRoster: FarRoster
  readonly tokens: Tokens
  readonly random: (bytes: number) => Uint8Array
}

type OwnersMethods = 'agents.token' | 'agents.tokens' | 'agents.here' | 'agents.attached' | 'agents.watch'

/** What the owner may do with the agents' door: give and take tokens, and see who is there. */
export function agentDoorHandlers(services: OwnerServices): Pick<Handlers, OwnersMethods> {
  const { desk, post, roster, farRoster, tokens, log, node, random, now } = services

  const revoke = async (agent: MeshAgent): Promise<void> => {
    const seat = roster.seat(agent.id)
    desk.dismiss(agent.id)
    if (!(await tokens.revoke(agent.id)))
      throw new Failure('AGENT_TOKEN_INVALID', `${agent.name} has no token on this node.`, {
        next: 'sealmesh agents token ls',
      })
    if (seat !== undefined) await post.empty(seat)
  }

  const attached = () => [
    ...[...roster.everyone()].filter((seat) => seat.attached).map((seat) => desk.view(seat)),
    ...farRoster.all().map((far) => farRoster.view(far)),
  ]

  return {
    'agents.token': async ({ name, action, rights = RIGHTS, only }) => {
      const agent = agentNamed(log.mesh, name)
      const known = only === undefined ? undefined : tokens.check(only)
      if (only !== undefined && known?.agent !== agent.id)
        throw new Failure('AGENT_TOKEN_INVALID', `This is not the token of ${agent.name}, or not any more.`)
      if (action === 'check') return { name, token: null, rights: [...(known?.rights ?? [])] }
      if (action === 'revoke') {
        await revoke(agent)
        return { name, token: null, rights: [] }
      }
      if (!agent.hosts.includes(node))
        throw new Failure('NOT_A_HOST', `This node is not among those that may carry ${agent.name}.`)
      if (action === 'make' && tokens.all.has(agent.id))
        throw new Failure('AGENT_TOKEN_EXISTS', `${agent.name} has a token on this node, and it was shown once.`, {
          next: `sealmesh agents token ${agent.name} --rotate makes a new one, and ends the old`,
        })
      const token = await tokens.make(agent.id, rights, random, now())
      // Only now: until the disk had it, the old one let programs attach.
      desk.dismiss(agent.id)
      return { name, token, rights: [...rights] }
    },

    'agents.tokens': () => ({
      tokens: [...tokens.all].flatMap(([id, { rights, madeAtMs }]) => {
        const agent = log.mesh.agents.get(id)
        if (agent === undefined) return []
        const attached = roster.seat(id)?.attached === true
        return [{ name: agent.name, agent: formatId('agent', id), rights, madeAt: iso(madeAtMs), attached }]
      }),
    }),

    'agents.here': () => ({ agents: [...roster.everyone()].map((seat) => desk.view(seat)) }),

    'agents.attached': () => ({ agents: attached() }),

    'agents.watch': (_, { stream, signal }) => {
      const stops = [
        desk.onNews((event, seat) => stream?.tell('agent', { event, agent: desk.view(seat) })),
        farRoster.onNews((event, far) => stream?.tell('agent', { event, agent: farRoster.view(far) })),
      ]
      for (const stop of stops) signal.addEventListener('abort', stop, { once: true })
      return { agents: attached() }
    },
  }
}

import { Failure } from '@sealmesh/protocol/errors'
import { type AgentId, isName, type NodeId } from '@sealmesh/protocol/ids'
import { toHex } from '@sealmesh/protocol/bytes'
import type { KeyPair, SignPublicKey } from '@sealmesh/protocol/keys'
import { agentByName } from '@sealmesh/protocol/membership/access'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { Handlers } from '../ipc/door.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { AcknowledgingContext } from './acknowledging.ts'
import { agentNamed, memberNamed, nodeName, type ServiceContext, signAsHolder } from './context.ts'
import type { MergedLate } from './merged-late.ts'
import { agentStatus } from './status.ts'

/** Agents: who there is, and which nodes may carry each. */
export function agentHandlers(
  context: AcknowledgingContext & {
    readonly mergedLate: MergedLate
    readonly newAgentKey: () => Promise<KeyPair<SignPublicKey, 'agent'>>
  },
): Pick<Handlers, 'agents.add' | 'agents.ls'> {
  return {
    'agents.add': async ({ name, standby }) => {
      if (!isName(name)) throw new Failure('NAME_INVALID', `"${name.slice(0, 64)}" is not an agent's name.`)
      const others = standby.map((each) => memberNamed(context.log.mesh, each).id)
      const known = agentByName(context.log.mesh, name)
      if (known === undefined) {
        const key = await context.newAgentKey()
        await foundAgent(context.log, name, key, [context.node, ...others], context.node, context.signKey)
      } else {
        const nodes = [...new Set([...known.hosts, ...others])]
        if (nodes.length !== known.hosts.length) await rehost(context, known, nodes)
      }
      const agent = agentNamed(context.log.mesh, name)
      return { agent: agent.id, name, hosts: agent.hosts.map((host) => nodeName(context.log.mesh, host)) }
    },

    'agents.ls': async () => ({
      agents: await Promise.all([...context.log.mesh.agents.values()].map((agent) => agentStatus(context, agent))),
    }),
  }
}

/** A new agent: its own signed list of hosts with delegation, and its first term here. */
export async function foundAgent(
  log: LogKeeper,
  name: string,
  key: KeyPair<SignPublicKey, 'agent'>,
  nodes: readonly NodeId[],
  holder: NodeId,
  signKey: ServiceContext['signKey'],
): Promise<AgentId> {
  const agent = toHex(key.publicKey) as AgentId
  await log.append(
    { type: 'host', agent, name, nodes: [...new Set(nodes)], delegate: true, cuts: [] },
    { type: 'agent', agent },
    key.secretKey,
  )
  await log.append(
    { type: 'assign', agent, term: 1, holder, previous: null, reason: 'founded here', basis: [] },
    { type: 'node', node: holder },
    signKey,
  )
  return agent
}

const rehost = (context: ServiceContext, agent: MeshAgent, nodes: readonly NodeId[]) =>
  signAsHolder(context, agent, { type: 'host', agent: agent.id, name: agent.name, nodes, delegate: true, cuts: [] })

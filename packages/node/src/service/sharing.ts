import { utf8 } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { isName, type NodeId } from '@sealmesh/protocol/ids'
import { agentByName, nodeByName, readersOf } from '@sealmesh/protocol/membership/access'
import type { Grant, Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { GrantTo } from '@sealmesh/protocol/membership/record'
import type { Handlers } from '../ipc/door.ts'
import { agentNamed, cutsOf, nodeName, type ServiceContext, signAsHolder } from './context.ts'

/** Grants: what leaves this machine, and to whom. Nothing does until one of these says so. */
export function sharingHandlers(context: ServiceContext): Pick<Handlers, 'share.set' | 'share.ls' | 'share.preview'> {
  return {
    'share.set': async ({ agent: name, layer, to }) => {
      const agent = agentNamed(context.log.mesh, name)
      checkLayer(layer)
      const live = agent.grants.filter((grant) => grant.layer === layer && grant.ended === null)
      if (to === 'none') {
        for (const grant of live) {
          const writers = grant.access === 'write' ? recipientsOf(context.log.mesh, agent, grant.to) : []
          const cuts = await cutsOf(context, [{ agent: agent.id, layer }], writers)
          await signAsHolder(context, agent, { type: 'ungrant', agent: agent.id, grant: grant.record, cuts })
        }
        return {
          grants: grantsOf(context.log.mesh, name),
          note: live.length > 0 ? 'the flow has stopped; what was sent cannot be unsent' : null,
        }
      }
      const wanted = parseTo(context.log.mesh, to)
      const same = live.some((grant) => grant.access === wanted.access && sameTo(grant.to, wanted.to))
      if (!same)
        await signAsHolder(context, agent, {
          type: 'grant',
          agent: agent.id,
          layer,
          to: wanted.to,
          access: wanted.access,
        })
      return { grants: grantsOf(context.log.mesh, name), note: same ? 'already so' : null }
    },

    'share.ls': ({ agent }) => ({ grants: grantsOf(context.log.mesh, agent) }),

    'share.preview': async ({ agent: name, layer, to }) => {
      const mesh = context.log.mesh
      const agent = agentNamed(mesh, name)
      checkLayer(layer)
      const nodes = to === 'none' ? [] : recipientsOf(mesh, agent, parseTo(mesh, to).to)
      const already = readersOf(mesh, agent.id, layer)
      const document = await context.documents.open({ agent: agent.id, layer })
      const umrs: string[] = []
      let [registers, texts, bytes] = [0, 0, 0]
      const add = (id: string, content: string) => {
        bytes += utf8(content).length
        if (umrs.length < PREVIEW_NAMES) umrs.push(`${name}.${layer}.${id}`)
      }
      for (const key of document.keys()) {
        registers += 1
        add(key, document.read(key)?.value ?? '')
      }
      for (const text of document.textNames()) {
        texts += 1
        add(text, document.text(text) ?? '')
      }
      const fresh = nodes.filter((node) => node !== context.node && !already.includes(node))
      return { nodes: fresh.map((node) => nodeName(mesh, node)), registers, texts, bytes, umrs }
    },
  }
}

const PREVIEW_NAMES = 100

/** `standby`, a node's or an agent's name, each with `:write` when it may write too. */
function parseTo(mesh: Mesh, text: string): { to: GrantTo; access: 'read' | 'write' } {
  const [name = '', access = 'read', ...more] = text.split(':')
  if (more.length > 0 || (access !== 'read' && access !== 'write'))
    throw new Failure('USAGE', 'Say none, standby, a node or an agent, with :write where it may write too.')
  if (name === 'standby') return { to: { type: 'standby' }, access }
  const node = nodeByName(mesh, name)
  if (node !== undefined) return { to: { type: 'node', node: node.id }, access }
  const agent = agentByName(mesh, name)
  if (agent !== undefined) return { to: { type: 'agent', agent: agent.id }, access }
  throw new Failure('NODE_UNKNOWN', `No node or agent of this mesh is called "${name.slice(0, 64)}".`)
}

function recipientsOf(mesh: Mesh, agent: MeshAgent, to: GrantTo): readonly NodeId[] {
  switch (to.type) {
    case 'node':
      return [to.node]
    case 'agent':
      return mesh.agents.get(to.agent)?.hosts ?? []
    case 'standby':
      return agent.hosts
  }
}

function sameTo(a: GrantTo, b: GrantTo): boolean {
  if (a.type === 'node') return b.type === 'node' && a.node === b.node
  if (a.type === 'agent') return b.type === 'agent' && a.agent === b.agent
  return b.type === 'standby'
}

function grantsOf(mesh: Mesh, name: string | undefined) {
  const agents = name === undefined ? [...mesh.agents.values()] : [agentNamed(mesh, name)]
  return agents.flatMap((agent) =>
    agent.grants
      .filter((grant) => grant.ended === null)
      .map((grant) => ({
        agent: agent.name,
        layer: grant.layer,
        to: nameOfTo(mesh, grant),
        access: grant.access,
        record: grant.record as string,
      })),
  )
}

function nameOfTo(mesh: Mesh, { to }: Grant): string {
  switch (to.type) {
    case 'node':
      return nodeName(mesh, to.node)
    case 'agent':
      return mesh.agents.get(to.agent)?.name ?? to.agent.slice(0, 8)
    case 'standby':
      return 'standby'
  }
}

function checkLayer(layer: string): void {
  if (!isName(layer)) throw new Failure('NAME_INVALID', `"${layer.slice(0, 64)}" is not a layer's name.`)
}

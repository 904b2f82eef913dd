import { isSingleWriter } from '@sealmesh/protocol/membership/access'
import { planTakeover } from '@sealmesh/protocol/failover/takeover'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { Failure } from '@sealmesh/protocol/errors'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { Handlers } from '../ipc/door.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import { agentNamed, iso, nodeName, type ServiceContext } from './context.ts'

/** Manual takeover: a person is shown what is known, what may be lost and what cannot be known, and confirms. */
export function takeoverHandlers(
  context: ServiceContext & { readonly sync: MeshSync },
): Pick<Handlers, 'takeover' | 'takeover.preview'> {
  return {
    'takeover.preview': async ({ agent: name }) => {
      const mesh = context.log.mesh
      const agent = agentNamed(mesh, name)
      const holder = agent.term?.holder ?? null
      const peer = context.sync.peers().find((each) => each.node === holder)
      const heardAtMs = peer?.view.lastHeardAtMs ?? null
      const documents = await documentsOf(context, agent)
      const known = documents.map(
        (each) =>
          `${each.layer}: ${each.registers} registers and ${each.texts} texts in ${each.blocks} blocks are here`,
      )
      const late: string[] = []
      if (holder !== null && holder !== context.node) {
        const missing = peer?.view.toReceive ?? null
        if (missing !== null && missing > 0)
          late.push(`${missing} blocks that ${nodeName(mesh, holder)} named have not arrived`)
        late.push(
          `whatever ${nodeName(mesh, holder)} wrote to single-writer layers and did not send: it is kept apart when it returns`,
        )
      }
      return {
        agent: agent.name,
        holder: holder === null ? null : nodeName(mesh, holder),
        holderLastHeardAt: heardAtMs === null ? null : iso(heardAtMs),
        term: agent.term?.number ?? 0,
        nextTerm: (agent.term?.number ?? 0) + 1,
        basis: documents.map(({ layer, blocks, registers, texts }) => ({ layer, blocks, registers, texts })),
        known: holder === context.node ? [...known, 'this node holds the agent already'] : known,
        mayBeLost: late,
        cannotBeKnown:
          holder === null || holder === context.node
            ? []
            : [
                `whether ${nodeName(mesh, holder)} still runs and acts as ${agent.name}: without a witness nothing stops it until it hears of this`,
              ],
      }
    },

    takeover: async ({ agent: name, reason }) => {
      const agent = agentNamed(context.log.mesh, name)
      if (agent.term?.holder === context.node)
        return {
          agent: agent.name,
          term: agent.term.number,
          holder: nodeName(context.log.mesh, context.node),
          record: agent.term.record,
        }
      const documents = await documentsOf(context, agent)
      const record = await context.log.append(
        (mesh) => {
          const plan = planTakeover({ mesh, agent: agent.id, node: context.node, documents, reason })
          if (!plan.ok) throw new Failure(plan.error.code, `${agent.name} cannot be taken over here.`)
          return plan.value
        },
        { type: 'node', node: context.node },
        context.signKey,
      )
      const mesh = context.log.mesh
      const term = mesh.agents.get(agent.id)?.term
      if (term === undefined || term === null || term.record !== record.hash)
        throw new Failure('TERM_NOT_HIGHER', `Another node took ${agent.name} over at the same moment.`)
      return { agent: agent.name, term: term.number, holder: nodeName(mesh, term.holder), record: record.hash }
    },
  }
}

interface Held {
  readonly layer: string
  readonly vector: VersionVector
  readonly digest: Uint8Array
  readonly blocks: number
  readonly registers: number
  readonly texts: number
}

/** Single-writer documents as they stand here: what the new term starts from. Only their blocks can be late. */
async function documentsOf(context: ServiceContext, agent: MeshAgent): Promise<Held[]> {
  const held: Held[] = []
  for (const name of context.documents.names()) {
    if (name.agent !== agent.id || !isSingleWriter(name.layer)) continue
    const document = await context.documents.open(name)
    const { received, registers, texts } = document.counts()
    held.push({
      layer: name.layer,
      vector: document.vector,
      digest: document.digest(),
      blocks: received,
      registers,
      texts,
    })
  }
  return held
}

import { isSingleWriter } from '@sealmesh/protocol/membership/access'
import { type Missing, previewTakeover, type Unknowable } from '@sealmesh/protocol/failover/preview'
import { Failure } from '@sealmesh/protocol/errors'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import { documentsOf } from '../failover/basis.ts'
import { takeByPerson } from '../failover/by-person.ts'
import type { Failover } from '../failover/failover.ts'
import type { Handlers } from '../ipc/door.ts'
import { counted } from '../status/words.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import { agentNamed, iso, nodeName, type ServiceContext } from './context.ts'

/** Takeover by a person: a person is shown what is known, what may be lost and what cannot be known, and confirms. */
export function takeoverHandlers(
  context: ServiceContext & { readonly sync: MeshSync; readonly failover: Failover },
): Pick<Handlers, 'takeover' | 'takeover.preview'> {
  return {
    'takeover.preview': async ({ agent: name }) => {
      const mesh = context.log.mesh
      const agent = agentNamed(mesh, name)
      const all = await documentsOf(context.documents, agent.id)
      const documents = all.filter(({ layer }) => isSingleWriter(layer))
      const peers = context.sync.peers()
      const words = peers.flatMap(({ node, view, words: said }) => {
        const named = said.filter(({ document }) => document.agent === agent.id)
        const heardAtMs = view.lastHeardAtMs
        return heardAtMs === null
          ? []
          : [{ node, heardAtMs, documents: named.map(({ document, vector }) => ({ layer: document.layer, vector })) }]
      })
      const preview = previewTakeover({ mesh, agent: agent.id, node: context.node, documents: all, words })
      if (preview === undefined) throw new Failure('AGENT_UNKNOWN', `${agent.name} is not an agent of this mesh.`)
      const heardAtMs = peers.find(({ node }) => node === preview.holder)?.view.lastHeardAtMs ?? null
      return {
        agent: agent.name,
        holder: preview.holder === null ? null : nodeName(mesh, preview.holder),
        holderLastHeardAt: heardAtMs === null ? null : iso(heardAtMs),
        term: preview.term,
        nextTerm: preview.nextTerm,
        basis: documents.map(({ layer, blocks, registers, texts }) => ({ layer, blocks, registers, texts })),
        known: all.map(
          ({ layer, blocks, registers, texts }) =>
            `${layer}: ${counted(registers, 'register')} and ${counted(texts, 'text')} in ${counted(blocks, 'block')}`,
        ),
        mayBeLost: preview.mayBeLost.map((missing) => missingInWords(mesh, missing)),
        cannotBeKnown: preview.cannotBeKnown.map((unknown) => unknownInWords(mesh, agent, unknown)),
      }
    },

    takeover: async ({ agent: name, reason, force, acceptDataLoss }) => {
      const agent = agentNamed(context.log.mesh, name)
      if (agent.term?.holder !== context.node || force)
        await takeByPerson(context.failover, context.log, agent.id, { reason, force, acceptDataLoss })
      const mesh = context.log.mesh
      const term = mesh.agents.get(agent.id)?.term
      if (term?.holder !== context.node)
        throw new Failure('TERM_NOT_HIGHER', `Another node took ${agent.name} over at the same moment.`)
      return { agent: agent.name, term: term.number, holder: nodeName(mesh, term.holder), record: term.record }
    },
  }
}

function missingInWords(mesh: Mesh, { layer, blocks, namedBy, later }: Missing): string {
  const names = namedBy.map((node) => nodeName(mesh, node)).join(', ')
  const [are, they] = blocks === 1 ? ['is', 'it comes'] : ['are', 'they come']
  const fate = later === 'merged' ? `merged when ${they}` : `kept apart when ${they}, and merged only by choice`
  return `${layer}: ${counted(blocks, 'block')} that ${names} named ${are} not here; ${fate}`
}

function unknownInWords(mesh: Mesh, agent: MeshAgent, unknown: Unknowable): string {
  switch (unknown.type) {
    case 'holder-silent': {
      const holder = nodeName(mesh, unknown.holder)
      const since = unknown.heardAtMs === null ? 'at all' : `after ${iso(unknown.heardAtMs)}, when it was last heard`
      return `what ${holder} wrote ${since}, and whether it still acts as ${agent.name}: without a witness nothing stops it until it hears of this`
    }
    case 'not-granted':
      return `what is in ${unknown.layers.join(', ')}: not shared with this node, so it stays behind`
  }
}

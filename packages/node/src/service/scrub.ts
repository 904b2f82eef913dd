import { Failure } from '@sealmesh/protocol/errors'
import type { DocumentId, NodeId } from '@sealmesh/protocol/ids'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { readersOf } from '@sealmesh/protocol/membership/access'
import type { HomeHealth } from '../health/home-health.ts'
import type { Scrubber } from '../health/scrubber.ts'
import type { Handlers } from '../ipc/door.ts'
import type { DamageBook } from '../store/damage-book.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import { agentName, agentNamed, iso, nodeName, type ServiceContext } from './context.ts'

export interface ScrubServices extends ServiceContext {
  readonly scrubber: Scrubber
  readonly health: HomeHealth
  readonly damage: DamageBook
  readonly index: DocumentIndex
  readonly sync: Pick<MeshSync, 'peers'>
}

type State = MethodResult<'scrub.status'>
type Damaged = State['damaged'][number]

export function scrubHandlers(
  services: ScrubServices,
): Pick<Handlers, 'scrub.start' | 'scrub.status' | 'scrub.accept'> {
  return {
    'scrub.start': () => {
      services.scrubber.run().catch((error: unknown) => services.logger.error({ err: error }, 'the scrub failed'))
      return stateOf(services)
    },
    'scrub.status': () => stateOf(services),
    'scrub.accept': async ({ agent, layer }) => {
      const document: DocumentName = { agent: agentNamed(services.log.mesh, agent).id, layer }
      const id = documentIdOf(document, services.sodium)
      if (services.damage.of(id).length === 0)
        throw new Failure('ITEM_NOT_FOUND', 'Nothing of this document is missing.', { next: 'sealmesh scrub' })
      return await services.documents.acceptLoss(document)
    },
  }
}

/** What is damaged and not whole yet: for `scrub`, and for whoever sums up how this node is. */
export function damagedDocuments(services: Omit<ScrubServices, 'scrubber' | 'health'>): Damaged[] {
  const { damage, index, log } = services
  return damage.documents().map((id) => {
    const name = index.get(id)?.name
    const missing = damage.of(id).map(({ incarnation, from, to }) => ({ incarnation, from, to }))
    const peers = name === undefined ? [] : whoMayHave(services, id, name)
    return {
      document: id,
      agent: name === undefined ? null : agentName(log.mesh, name.agent),
      layer: name?.layer ?? null,
      missing,
      // Nobody is left to hope for once every other reader has named what it has.
      state: peers.length === 0 ? ('lost' as const) : ('asked' as const),
      waitingFor: peers.map((node) => nodeName(log.mesh, node)),
    }
  })
}

/** Other readers and writers that have not yet said that they lack it as well. */
function whoMayHave(
  services: Omit<ScrubServices, 'scrubber' | 'health'>,
  id: DocumentId,
  name: DocumentName,
): NodeId[] {
  const { log, node, sync, damage } = services
  const words = new Map(sync.peers().map((peer) => [peer.node, peer.words]))
  return readersOf(log.mesh, name.agent, name.layer).filter((each) => {
    if (each === node) return false
    const said = words.get(each)?.find(({ document }) => document.agent === name.agent && document.layer === name.layer)
    if (said === undefined) return true
    return damage.of(id).some(({ incarnation, from }) => {
      if (/^0+$/.test(incarnation)) return said.vector.length > 0
      return said.vector.some((dot) => dot.incarnation === incarnation && dot.sequence >= from)
    })
  })
}

function stateOf(services: ScrubServices): State {
  const { running, slow, startedAtMs, finishedAtMs, bytes, bytesExpected, findings } = services.scrubber.state
  const { rolledBack, copied, events } = services.health.facts
  const fact = (each: typeof rolledBack) =>
    each && { since: iso(each.sinceMs), last: iso(each.lastMs), evidence: [...each.evidence] }
  return {
    running,
    slow,
    startedAt: startedAtMs === null ? null : iso(startedAtMs),
    finishedAt: finishedAtMs === null ? null : iso(finishedAtMs),
    bytes,
    bytesExpected,
    findings: [...findings],
    damaged: damagedDocuments(services),
    rolledBack: fact(rolledBack),
    copied: fact(copied),
    events: events.map(({ atMs, what }) => ({ at: iso(atMs), what })),
  }
}
